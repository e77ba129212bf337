-- Policy: no DML for any role, definer functions are exactly these, every granted function is one of them.
begin;
select plan(14);

create temp table role as select unnest(array['app_api', 'app_worker', 'app_ops', 'app_read']) as name;
select is_empty($$select r.name, c.oid::regclass, p.p from role as r cross join pg_class as c
  cross join unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as p
  where c.relnamespace in ('app'::regnamespace, 'pgmq'::regnamespace) and c.relkind in ('r', 'p', 'v') and has_table_privilege(r.name, c.oid, p.p)$$, 'no role may write a table');
select is_empty($$select r.name, c.oid::regclass from role as r cross join pg_class as c
  where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p') and has_table_privilege(r.name, c.oid, 'SELECT')$$, 'nor read one');
select is_empty($$select r.name, c.oid::regclass from role as r cross join (select s.oid from pg_class as s where s.relkind = 'S' and s.relnamespace = 'app'::regnamespace) as c
  where has_sequence_privilege(r.name, c.oid, 'USAGE, SELECT, UPDATE')$$, 'nor move a sequence');
select is_empty($$select name from role where has_schema_privilege(name, 'app', 'CREATE')$$, 'nor create anything');
create temp view granted as select r.name, p.oid::regprocedure::text as function, p.prosecdef from role as r cross join pg_proc as p
  where p.pronamespace = 'app'::regnamespace and has_function_privilege(r.name, p.oid, 'EXECUTE');
select bag_eq($$select name || ' ' || split_part(function, '(', 1) from granted$$,
  $$select r.r || ' app.' || f from (values ('app_api', array['create_intent', 'start_run', 'start_runs', 'sleep_run', 'approve_plan', 'reply_gate', 'cancel_run', 'resume_run', 'repair_run', 'fork_run', 'cancel_batch', 'resume_batch', 'repair_batch', 'fork_batch', 'redrive', 'pause_queue', 'unpause_queue', 'pause_partition', 'unpause_partition']),
      ('app_ops', array['create_intent', 'start_run', 'start_runs', 'sleep_run', 'approve_plan', 'reply_gate', 'cancel_run', 'resume_run', 'repair_run', 'fork_run', 'cancel_batch', 'resume_batch', 'repair_batch', 'fork_batch', 'redrive', 'pause_queue', 'unpause_queue', 'pause_partition', 'unpause_partition', 'set_limits', 'set_partition', 'recover', 'purge_runs', 'put_recipe', 'activate_recipe', 'set_queue_partitioning', 'put_setting', 'leases', 'is_alive', 'counted', 'answer_with', 'name_by_content', 'runner_command']),
      ('app_worker', array['work', 'work_rows', 'heartbeat', 'release', 'checkpoint', 'register_worker', 'retire_worker', 'take_ends', 'forget_ends', 'shrink_queues']), ('app_read', array['leases', 'is_alive', 'counted', 'answer_with', 'name_by_content', 'runner_command'])) as r (r, fs),
    unnest(r.fs || array['get_run', 'get_steps', 'get_artifact', 'list_artifacts', 'list_gates', 'list_runs', 'explain_run', 'fork_diff', 'now', 'queue_depth', 'health', 'gauges'] || case when r.r in ('app_api', 'app_ops') then array['arguments'] else '{}' end) as f
    union all select r || ' app.' || f from unnest(array['app_api', 'app_ops', 'app_read']) as r, unnest(array['page_run', 'page_tasks', 'page_step', 'gate_exhibits', 'search_runs', 'page_ops', 'page_queues', 'page_recipes', 'page_recipe', 'page_charts', 'cron_next', 'cron_previous', 'cron_ticks']) as f
    union all select 'app_ops app.' || f from unnest(array['put_schedule', 'pause_schedule', 'unpause_schedule', 'delete_schedule']) as f$$, 'who may call what');
select is_empty($$select distinct function from granted where not prosecdef and function <> 'app.is_alive(app.workers)'$$, 'what is granted is security definer, but for the helper of a view');
select set_eq($$select p.oid::regprocedure::text from pg_proc as p where p.pronamespace = 'app'::regnamespace and p.prosecdef and not exists (select from granted where function = p.oid::regprocedure::text)$$,
  array['app.advance(interval)', 'app.ensure_queues()', 'app.lease_ends(text,bigint)', 'app.rebuild_dispatch()'], 'what else is security definer');
select is_empty($$select rolname from pg_roles join role on name = rolname where rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolbypassrls$$, 'roles are plain');

-- the rights suffice
set local role app_ops;
select app.put_recipe('{"name": "r", "steps": [{"stepId": "A", "handler": "h", "gate": {"key": "approve-plan"}}]}'), app.activate_recipe('r') \g /dev/null
select app.put_schedule('{"name": "s", "cron": "@daily", "intent": {"goal": "g", "inputs": {}, "constraints": {}}, "options": {"recipeName": "r"}}', 'ann', 'x'),
  app.pause_schedule('s', 'ann', 'x'), app.unpause_schedule('s', 'ann', 'x') \g /dev/null
set local role app_api;
select app.cron_next('@daily', 'UTC', now()), name, ticks_after from app.v_schedules \g /dev/null
select app.create_intent('{"goal": "g", "inputs": {}, "constraints": {}}') ->> 'intentId' as id \gset
select app.start_run(:'id', '{"recipeName": "r"}'), app.approve_plan(:'id', 'ann') \g /dev/null
select app.fork_run(:'id', 0, 'ann', 'x', dry_run => true), app.cancel_run(:'id', 'ann', 'x'), app.resume_run(:'id', 'ann', 'x') \g /dev/null
select jsonb_build_object('runIds', jsonb_build_array(:'id')) as one \gset
select b.* from app.cancel_batch(:'one', 'ann', 'x', true) as b, app.repair_batch(:'one', 'ann', 'x', true), app.resume_batch(:'one', 'ann', 'x', true), app.fork_batch(:'one', 0, 'ann', 'x', dry_run => true), app.redrive('intentQ', 'ann', 'x', dry_run => true) \g /dev/null
set local role app_ops;
select app.pause_queue('sbxQ', 'ann', 'x'), app.unpause_queue('sbxQ', 'ann', 'x'), app.pause_partition('sbxQ', 'p', 'ann', 'x'), app.unpause_partition('sbxQ', 'p', 'ann', 'x'), app.set_limits('sbxQ', '{"maxRunning": 9}', 'ann', 'x'), app.set_partition('sbxQ', 'p', '{"weight": 2}', 'ann', 'x'), app.recover(), app.purge_runs('0', 'ann', 'x') \g /dev/null
set local role app_worker;
select app.register_worker('w', '{"appVersion": "1", "queues": ["intentQ"], "concurrency": 1}') \g /dev/null
select count(*) as claimed, jsonb_agg(jsonb_build_object('runId', run_id, 'idx', idx, 'taskKey', task_key, 'attempt', attempt, 'queue', queue_name, 'msgId', msg_id, 'readCt', read_ct,
  'status', 'SUCCESS')) as results from app.work('w', '[]', '{"queues": {"intentQ": 1}, "recover": true}') \gset
select app.work('w', :'results'), app.heartbeat('w', '[]'), app.take_ends(1), app.forget_ends('{}'), app.retire_worker('w') \g /dev/null
set local role app_read;
select app.get_run(:'id') ->> 'status' as status from app.explain_run(:'id') \gset
select count(*) from app.v_invariants, app.v_ops_queue_depth, app.v_ops_queue_fairness, app.v_ops_workers, app.v_gates_open, app.v_state_machine, app.v_recipes, app.v_run_timeline, app.v_arguments, app.v_ops_inbox, app.v_ops_failures_24h, app.v_ops_slow_steps, dbos.workflow_status, app.fork_diff(:'id', :'id'), app.v_schedules,
  app.page_run(:'id'), app.page_tasks(:'id', 0), app.page_step(:'id', 0), app.search_runs(), app.page_ops(), app.page_queues(), app.page_recipes(), app.page_recipe('r'), app.page_charts() \g /dev/null
reset role;
select is(:'claimed' || ' ' || :'status', '1 SUCCESS', 'a run from start to end, everybody in their own role');
create function pg_temp.as_role(name text, statement text) returns text language plpgsql as $$
declare
  state text := 'done';
begin
  execute format('set local role %I', name);
  begin
    execute statement;
  exception when others then
    state := sqlstate;
  end;
  reset role;
  return state;
end $$;
select is(pg_temp.as_role('app_api', 'select app.work(''w'')'), '42501', 'a shim does not work');
select is(pg_temp.as_role('app_worker', 'select app.put_setting(''app_version'', ''"1"'')'), '42501', 'a runner does not set');
select is(pg_temp.as_role('app_worker', 'select app.cancel_run(''r'', ''w'', ''x'')'), '42501', 'nor cancel');
select is(pg_temp.as_role('app_api', 'select app.pause_schedule(''s'', ''w'', ''x'')'), '42501', 'a shim pauses no schedule');
select is(pg_temp.as_role('app_api', 'update app.runs set priority = 1'), '42501', 'nobody writes a table');
rollback;
