-- Every statement that the Python side sends, each under a name, each calling one function (or reading one view).
-- Parameters are named; jsonb travels as text. Loaded once by queries.py.

-- == runners' verbs ==

-- name: register_worker
select app.register_worker(worker => %(worker)s, info => %(info)s::jsonb);

-- name: retire_worker
select app.retire_worker(worker => %(worker)s);

-- name: work
select outcome, run_id, step_id, idx, task_key, attempt, queue_name, msg_id, read_ct, handler, timeout_ms, context::text, reason
  from app.work_rows(worker => %(worker)s, results => %(results)s::app.result[], want => %(want)s::jsonb);

-- name: heartbeat
select directive, run_id, idx, task_key, queue_name, msg_id
  from app.heartbeat(worker => %(worker)s, leases => %(leases)s::jsonb);

-- name: release
select app.release(worker => %(worker)s, leases => %(leases)s::jsonb);

-- name: checkpoint
select app.checkpoint(worker => %(worker)s, lease => %(lease)s::jsonb, entry => %(entry)s::jsonb);

-- name: take_ends
select end_id, trace from app.take_ends(n => %(n)s);

-- name: forget_ends
select app.forget_ends(end_ids => %(end_ids)s::bigint[]);

-- name: shrink_queues
select app.shrink_queues();

-- name: discard
discard all;

-- name: listen
listen sisu_ready;

-- == callers' verbs ==

-- name: create_intent
select app.create_intent(intent => %(intent)s::jsonb);

-- name: start_run
select app.start_run(intent_id => %(intent_id)s, options => %(options)s::jsonb);

-- name: start_runs
select app.start_runs(runs => %(runs)s::jsonb);

-- name: approve_plan
select app.approve_plan(run_id => %(run_id)s, approved_by => %(approved_by)s, notes => %(notes)s,
                        decision => %(decision)s, dedupe_key => %(dedupe_key)s, shown_sha256 => %(shown_sha256)s);

-- name: reply_gate
select app.reply_gate(run_id => %(run_id)s, gate_key => %(gate_key)s, payload => %(payload)s::jsonb, dedupe_key => %(dedupe_key)s,
                      origin => %(origin)s, shown_sha256 => %(shown_sha256)s);

-- name: sleep_run
select app.sleep_run(run_id => %(run_id)s, ms => %(ms)s);

-- name: get_run
select app.get_run(run_id => %(run_id)s);

-- name: get_steps
select app.get_steps(run_id => %(run_id)s);

-- name: list_artifacts
select app.list_artifacts(run_id => %(run_id)s);

-- name: list_gates
select app.list_gates(run_id => %(run_id)s);

-- name: list_runs
select app.list_runs(filter => %(filter)s::jsonb);

-- name: get_artifact
select artifact_id, run_id, step_id, kind, name, media_type, size, sha256, body
  from app.get_artifact(artifact_id => %(artifact_id)s);

-- == recipes and settings ==

-- name: put_recipe
select app.put_recipe(recipe => %(recipe)s::jsonb);

-- name: activate_recipe
select app.activate_recipe(name => %(name)s, version => %(version)s);

-- name: recipes
select name, version, status, description, steps, activated_at from app.v_recipes order by name, version desc;

-- name: put_setting
select app.put_setting(key => %(key)s, value => %(value)s::jsonb);

-- name: setting
select app.setting(key => %(key)s);

-- == oracles ==

-- name: timeline
select * from app.v_run_timeline where run_id = %(run_id)s;

-- name: invariants
select * from app.v_invariants;

-- == control ==

-- name: cancel_run
select app.cancel_run(run_id => %(run_id)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: resume_run
select app.resume_run(run_id => %(run_id)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: repair_run
select app.repair_run(run_id => %(run_id)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: fork_run
select app.fork_run(run_id => %(run_id)s, step_n => %(step_n)s, actor => %(actor)s, reason => %(reason)s,
                    app_version => %(app_version)s, inputs => %(inputs)s::jsonb, dry_run => %(dry_run)s);

-- name: explain_run
select * from app.explain_run(run_id => %(run_id)s);

-- name: cancel_batch
select * from app.cancel_batch(selection => %(selection)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: resume_batch
select * from app.resume_batch(selection => %(selection)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: repair_batch
select * from app.repair_batch(selection => %(selection)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: fork_batch
select * from app.fork_batch(selection => %(selection)s::jsonb, step_n => %(step_n)s, actor => %(actor)s, reason => %(reason)s,
                             app_version => %(app_version)s, inputs => %(inputs)s::jsonb, dry_run => %(dry_run)s);

-- name: redrive
select * from app.redrive(queue_name => %(queue_name)s, actor => %(actor)s, reason => %(reason)s, max_runs => %(max_runs)s, dry_run => %(dry_run)s);

-- name: pause_queue
select app.pause_queue(queue_name => %(queue_name)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: unpause_queue
select app.unpause_queue(queue_name => %(queue_name)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: pause_partition
select app.pause_partition(queue_name => %(queue_name)s, partition_key => %(partition_key)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: unpause_partition
select app.unpause_partition(queue_name => %(queue_name)s, partition_key => %(partition_key)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: set_limits
select app.set_limits(queue_name => %(queue_name)s, limits => %(limits)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: set_partition
select app.set_partition(queue_name => %(queue_name)s, partition_key => %(partition_key)s, options => %(options)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: purge_runs
select app.purge_runs(older_than => %(older_than)s, actor => %(actor)s, reason => %(reason)s, statuses => %(statuses)s::text[],
                      max_runs => %(max_runs)s, dry_run => %(dry_run)s);

-- name: fork_diff
select * from app.fork_diff(a => %(a)s, b => %(b)s);

-- name: inbox
select * from app.v_ops_inbox where %(kind)s::text is null or kind = %(kind)s;

-- name: gates_open
select * from app.v_gates_open order by expires_at nulls last, opened_at limit %(limit)s;

-- name: slow_steps
select * from app.v_ops_slow_steps;

-- name: queue_depth
select * from app.v_ops_queue_depth order by queue_name, partition_key;

-- name: queue_fairness
select * from app.v_ops_queue_fairness order by queue_name, partition_key;

-- == schedules ==

-- name: put_schedule
select app.put_schedule(schedule => %(schedule)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: pause_schedule
select app.pause_schedule(name => %(name)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: unpause_schedule
select app.unpause_schedule(name => %(name)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: delete_schedule
select app.delete_schedule(name => %(name)s, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s);

-- name: schedules
select * from app.v_schedules order by name;

-- name: cron_ticks
select tick
  from app.cron_ticks(expression => %(expression)s, timezone => %(timezone)s,
                      after => coalesce(%(after)s::timestamptz, app.now()), n => %(n)s) as tick;

-- == the shim: bodies under the names of HTTP, as they came; named is what a token says of the caller ==

-- name: http_start_run
select app.start_run(intent_id => g.given ->> 'intentId', options => g.given - 'intentId')
  from (select %(body)s::jsonb || %(named)s::jsonb as given) as g;

-- name: http_approve_plan
select app.approve_plan(run_id => a.run_id, approved_by => a.approved_by, notes => a.notes, decision => a.decision,
                        dedupe_key => a.dedupe_key, shown_sha256 => a.shown_sha256)
  from (select %(body)s::jsonb || %(named)s::jsonb as given) as g
    cross join lateral jsonb_to_record(app.arguments('approve_plan',
      g.given || case when nullif(g.given -> 'decision', 'null') is null then '{"decision": "yes"}' else '{}'::jsonb end, %(known)s::jsonb))
    as a (run_id text, approved_by text, notes text, decision text, dedupe_key text, shown_sha256 text);

-- name: http_reply_gate
select app.reply_gate(run_id => a.run_id, gate_key => a.gate_key, payload => a.payload, dedupe_key => a.dedupe_key,
                      origin => a.origin, shown_sha256 => a.shown_sha256)
  from jsonb_to_record(app.arguments('reply_gate', %(body)s::jsonb || %(named)s::jsonb, %(known)s::jsonb))
    as a (run_id text, gate_key text, payload jsonb, dedupe_key text, origin text, shown_sha256 text);

-- name: http_cancel_run
select app.cancel_run(run_id => a.run_id, actor => a.actor, reason => a.reason)
  from jsonb_to_record(app.arguments('control', %(body)s::jsonb || %(named)s::jsonb, %(known)s::jsonb))
    as a (run_id text, actor text, reason text);

-- name: http_resume_run
select app.resume_run(run_id => a.run_id, actor => a.actor, reason => a.reason)
  from jsonb_to_record(app.arguments('control', %(body)s::jsonb || %(named)s::jsonb, %(known)s::jsonb))
    as a (run_id text, actor text, reason text);

-- name: http_fork_run
select app.fork_run(run_id => a.run_id, step_n => a.step_n, actor => a.actor, reason => a.reason,
                    app_version => a.app_version, inputs => a.inputs)
  from jsonb_to_record(app.arguments('fork_run', %(body)s::jsonb || %(named)s::jsonb, %(known)s::jsonb))
    as a (run_id text, step_n integer, actor text, reason text, app_version text, inputs jsonb);

-- name: http_sleep_run
select app.sleep_run(run_id => a.run_id, ms => a.ms)
  from jsonb_to_record(app.arguments('sleep_run', %(query)s::jsonb, names => '{"run_id": "wf", "ms": "sleep"}'))
    as a (run_id text, ms bigint);

-- name: http_queue_depth
select app.queue_depth();

-- name: arguments
select jsonb_agg(to_jsonb(a)) from app.v_arguments as a;

-- == the admin port ==

-- name: health
select app.health();

-- name: gauges
select app.gauges();

-- == the operator's page ==

-- name: page_run
select app.page_run(run_id => %(run_id)s);

-- name: page_tasks
select app.page_tasks(run_id => %(run_id)s, idx => %(idx)s, after_task => %(after_task)s);

-- name: page_step
select app.page_step(run_id => %(run_id)s, idx => %(idx)s, task_key => %(task_key)s);

-- name: page_exhibits
select coalesce(jsonb_agg(to_jsonb(e)), '[]') from app.gate_exhibits(run_id => %(run_id)s, gate_key => %(gate_key)s) as e;

-- name: search_runs
select app.search_runs(filter => %(filter)s::jsonb);

-- name: page_ops
select app.page_ops();

-- name: page_queues
select app.page_queues(queue => %(queue)s);

-- name: page_recipes
select app.page_recipes();

-- name: page_recipe
select app.page_recipe(name => %(name)s, version => %(version)s);

-- name: page_charts
select app.page_charts();

-- name: page_cancel_batch
select jsonb_agg(to_jsonb(b)) from app.cancel_batch(selection => %(selection)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s) as b;

-- name: page_resume_batch
select jsonb_agg(to_jsonb(b)) from app.resume_batch(selection => %(selection)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s) as b;

-- name: page_repair_batch
select jsonb_agg(to_jsonb(b)) from app.repair_batch(selection => %(selection)s::jsonb, actor => %(actor)s, reason => %(reason)s, dry_run => %(dry_run)s) as b;

-- name: page_fork_batch
select jsonb_agg(to_jsonb(b)) from app.fork_batch(selection => %(selection)s::jsonb, step_n => %(step_n)s, actor => %(actor)s, reason => %(reason)s,
                                                  app_version => null, inputs => null, dry_run => %(dry_run)s) as b;

-- name: page_fork_diff
select coalesce(jsonb_agg(to_jsonb(d) order by d.idx), '[]') from app.fork_diff(a => %(a)s, b => %(b)s) as d;
