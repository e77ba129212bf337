-- Views only append columns: their order is pinned.
begin;
select plan(17);

create function pg_temp.columns(view text) returns text language sql as $$
  select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute as a where a.attrelid = ('app.' || view)::regclass and a.attnum > 0 $$;
select is(pg_temp.columns('v_run_timeline'), 'run_id, idx, step_id, task_key, attempt, status, worker, enqueued_at, started_at, ended_at, waited_ms, duration_ms, error_code, error_message, artifacts', 'v_run_timeline');
select is(pg_temp.columns('v_ops_queue_depth'), 'queue_name, partition_key, enqueued, pending, expired, oldest_enqueued_at, oldest_age_s, paused_at, paused_by, pause_reason, drain_s, is_estimated, limits', 'v_ops_queue_depth');
select is(pg_temp.columns('v_ops_queue_fairness'), 'queue_name, partition_key, weight, waiting, running, max_running, rate_left, oldest_enqueued_at, oldest_age_s, served_share, paused_at, paused_by, pause_reason', 'v_ops_queue_fairness');
select is(pg_temp.columns('v_ops_inbox'), 'kind, run_id, recipe, queue_name, partition_key, since, age_s, reason, call, deadline', 'v_ops_inbox');
select is(pg_temp.columns('v_ops_failures_24h'), 'run_id, recipe, step_id, error_code, error_message, attempts, ended_at, queue_name, partition_key, status, app_version, created_at', 'v_ops_failures_24h');
select is(pg_temp.columns('v_ops_slow_steps'), 'recipe, step_id, part, attempts, p50_ms, p95_ms, max_ms, retries, lost, failed, waited_p95_ms', 'v_ops_slow_steps');
select is(pg_temp.columns('v_ops_workers'), 'worker, alive, app_version, queues, concurrency, host, pid, started_at, last_seen_at, stopped_at, leases', 'v_ops_workers');
select is(pg_temp.columns('v_gates_open'), 'run_id, gate_key, kind, title, before_step, opened_at, expires_at, partition_key, tenant_id, answer_with, shown_sha256, missing', 'v_gates_open');
select is(pg_temp.columns('v_state_machine'), 'entity, from_status, to_status, action', 'v_state_machine');
select is(pg_temp.columns('v_recipes'), 'name, version, status, queue_name, steps, description, created_at, activated_at', 'v_recipes');
select is(pg_temp.columns('v_invariants'), 'law, run_id, detail', 'v_invariants');
select is(pg_temp.columns('v_arguments'), 'shape, path, type, required, lowest, highest, pattern, one_of', 'v_arguments');
select is(pg_temp.columns('v_schedules'), 'name, cron, timezone, recipe, health, next_at, ticks_after, last_tick_at, last_outcome, last_run_id, last_run_status, last_error, catch_up, catch_up_cap, grace_seconds, paused_at, paused_by, pause_reason, intent, options, created_at, updated_at', 'v_schedules');
select is(pg_temp.columns('v_new_ticks'), 'name, tick_at, outcome, run_id, fired_at, error, first_tick_at', 'v_new_ticks');
select is(pg_temp.columns('v_ended_runs'), 'run_id, status, ended_at, recipe_id, reopened_at, intent_id, forked_from', 'v_ended_runs');
select bag_eq($$select viewname from pg_views where schemaname = 'app' and viewname not in ('v_lines', 'v_open_runs', 'v_open_steps', 'v_open_laws', 'v_ended_laws', 'v_schedule_laws', 'v_queue_laws', 'v_started_runs')$$,
  $$select unnest(array['v_run_timeline', 'v_ops_queue_depth', 'v_ops_queue_fairness', 'v_ops_workers', 'v_gates_open', 'v_state_machine', 'v_recipes', 'v_invariants', 'v_arguments', 'v_ended_runs', 'v_ops_inbox', 'v_ops_failures_24h', 'v_ops_slow_steps', 'v_schedules', 'v_new_ticks'])::name$$, 'every view is pinned');
select is((select array_agg(a.attname::text order by a.attnum) from pg_attribute as a where a.attrelid = 'app.assignment'::regclass and a.attnum > 0),
  array['outcome', 'run_id', 'step_id', 'idx', 'task_key', 'attempt', 'queue_name', 'msg_id', 'read_ct', 'handler', 'timeout_ms', 'context', 'reason'], 'so is the row of app.work');
rollback;
