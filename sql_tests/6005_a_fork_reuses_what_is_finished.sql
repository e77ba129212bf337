-- Fork: a run of its own that takes over the finished steps and passed gates, and runs the rest. The source stays as it is.
begin;
select plan(50);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.idx || '.' || s.attempt || ' ' || s.status, ', ' order by s.idx, s.task_key <> '', s.attempt, s.status) from app.run_steps as s where s.run_id = $1 $$;
create function pg_temp.rows_of(run_id text) returns text language sql as $$
  select md5(concat((select r::text from app.runs as r where r.run_id = $1), (select string_agg(s::text, chr(10) order by s::text) from app.run_steps as s where s.run_id = $1),
    (select string_agg(g::text, chr(10) order by g::text) from app.gates as g where g.run_id = $1), (select string_agg(p::text, chr(10) order by p::text) from app.gate_replies as p where p.run_id = $1),
    (select string_agg(m::text, chr(10) order by m::text) from app.timers as m where m.run_id = $1),
    (select string_agg(a::text, chr(10) order by a::text) from app.artifacts as a where a.run_id = $1 and a.step_id <> 'OPS'))) $$;
create function pg_temp.fork(run_id text, step_n integer) returns text language sql as $$ select app.fork_run(run_id, step_n, 'ann', 'try it') ->> 'forkedWorkflowID' $$;

-- a run through a fan-out, a gate, and a last step that fails
select app_test.a_recipe('r', '[{}, {"stepId": "Fan", "fanOut": {"queue": "sbxQ", "handler": "t/task"}, "retry": {"maxAttempts": 2, "backoff": {"initialMS": 0}, "retryableCodes": ["infra"]}},
  {"gate": {"key": "approve-plan", "title": "Sure"}}, {"gate": {"key": "later", "kind": "input"}}]'),
  app_test.a_run('g', 'r', '{"queuePartitionKey": "p", "priority": 7, "lane": "batch", "timeoutMS": 86400000, "tenantId": "t", "budget": {"steps": 9}, "appVersion": "v1"}') as source \gset
select app_test.a_worker('w1', '{"appVersion": "v1"}') \g /dev/null
create function pg_temp.end_step(more jsonb default '{}', queue text default 'intentQ', version text default 'v1') returns text language plpgsql as $$
declare
  lane app.assignment;
begin
  select * into lane from app_test.work_once('w1', queue, 1, jsonb_build_object('appVersion', version));
  perform app_test.report(app_test.done(lane, more));
  return lane.step_id;
end $$;
select pg_temp.end_step('{"output": "zero", "artifacts": [{"kind": "decision", "name": "d", "inline": {"n": 1}}, {"kind": "file", "name": "f", "body": "aGk="}]}') \g /dev/null
select pg_temp.end_step('{"status": "ERROR", "error": {"code": "infra", "message": "m"}}') \g /dev/null
select pg_temp.end_step('{"output": "made", "tasks": ["a", "b"]}') \g /dev/null
select pg_temp.end_step('{"receipt": true, "output": "done"}', 'sbxQ'), pg_temp.end_step('{"receipt": true, "output": "done"}', 'sbxQ') \g /dev/null
select app.approve_plan(:'source', 'ann', 'fine') \g /dev/null
select pg_temp.end_step('{"output": "two"}'), app.reply_gate(:'source', 'later', '{"decision": "no", "n": 4}', '1', 'bob') \g /dev/null
select pg_temp.end_step('{"status": "ERROR", "error": {"code": "broken", "message": "m"}}') \g /dev/null
select is(app_test.status_of(:'source') || ' ' || pg_temp.steps(:'source'), 'ERROR 0.1 SUCCESS, 1.1 ERROR, 1.2 SUCCESS, 1.1 SUCCESS, 1.1 SUCCESS, 2.1 SUCCESS, 3.1 ERROR', 'the source');
create temp table was as select pg_temp.rows_of(:'source') as rows;
create temp table source_run as select * from app.runs where run_id = :'source';

-- at the gate
create temp table answer as select app.fork_run(:'source', 2, 'ann', 'try it') as a;
select :'source' || '-f1' as f1, :'source' || '-f2' as f2, :'source' || '-f3' as f3, :'source' || '-f4' as f4, :'source' || '-f5' as f5 \gset
select is(a, jsonb_build_object('accepted', true, 'workflowID', :'source', 'forkedWorkflowID', :'f1', 'stepN', 2, 'dryRun', false), 'a fork is named after its root') from answer;
select is(pg_temp.rows_of(:'source'), rows, 'the source is the same, byte for byte') from was;
select is((select inline - 'at' from app.artifacts where step_id = 'OPS' and inline ->> 'op' = 'fork'), jsonb_build_object('op', 'fork', 'actor', 'ann', 'reason', 'try it', 'targetWorkflowID', :'source',
  'forkedWorkflowID', :'f1', 'stepN', 2, 'appVersion', null, 'inputs', null), 'but for the audit artifact');
select is(pg_temp.steps(:'f1'), '0.1 SUCCESS, 1.2 SUCCESS, 1.1 SUCCESS, 1.1 SUCCESS, 2.1 ENQUEUED', 'what is finished before the step is reused, tasks too; what failed is not');
select is((select array_agg(distinct cached_from) from app.run_steps where run_id = :'f1' and status = 'SUCCESS'), array[:'source'], 'and tells where it ran');
select results_eq(format('select idx, task_key, attempt, output, worker, started_at, ended_at from app.run_steps where run_id = %L and cached_from is not null order by 1, 2', :'f1'),
  format('select idx, task_key, attempt, output, worker, started_at, ended_at from app.run_steps where run_id = %L and idx < 2 and status = ''SUCCESS'' order by 1, 2', :'source'), 'as it was');
select results_eq(format('select step_id, step_idx, task_key, attempt, idx, kind, name, media_type, size, sha256, inline from app.artifacts where run_id = %L order by artifact_id', :'f1'),
  format('select step_id, step_idx, task_key, attempt, idx, kind, name, media_type, size, sha256, inline from app.artifacts where run_id = %L and step_idx < 2 order by artifact_id', :'source'), 'so are the artifacts');
select is((select array_agg(convert_from(c.body, 'UTF8') order by c.name) from app.artifacts as a cross join lateral app.get_artifact(a.artifact_id) as c where a.run_id = :'f1' and a.step_idx = 0), array['{"n":1}', 'hi'], 'with their bytes');
select is((select array_agg(row(gate_key, status, payload)::text) from app.gates where run_id = :'f1'), (select array_agg(row(gate_key, status, payload)::text) from app.gates where run_id = :'source' and idx = 2), 'the gate at the step is passed, the later one is not');
select is((select to_jsonb(r) - array['run_id', 'trace_id', 'queue_seq', 'created_at', 'updated_at', 'started_at', 'ended_at', 'status', 'error', 'forked_from', 'fork_step', 'root_id', 'started_by'] from app.runs as r where run_id = :'f1'),
  (select to_jsonb(s) - array['run_id', 'trace_id', 'queue_seq', 'created_at', 'updated_at', 'started_at', 'ended_at', 'status', 'error', 'forked_from', 'fork_step', 'root_id', 'started_by'] from source_run as s), 'it is started as the source was');
select is((select row(f.forked_from, f.fork_step, f.root_id, f.trace_id <> s.trace_id, f.queue_seq > s.queue_seq, f.error, f.started_by)::text from app.runs as f, source_run as s where f.run_id = :'f1'), format('(%s,2,%1$s,t,t,,ann)', :'source'), 'with a trace, a place in line and a starter of its own');
select is(app.get_run(:'f1') ->> 'forkedFrom', :'source', 'its header names the source');
select is((select jsonb_agg(s -> 'cachedFrom') from jsonb_array_elements(app.get_steps(:'f1')) as s), jsonb_build_array(:'source', :'source', :'source', :'source', null), 'and its steps what is reused');
select is((select count(*) from app.timers where run_id = :'f1' and kind = 'run_timeout' and fired_at is null and closed_at is null), 1::bigint, 'it has the same time, from now on');
select is_empty('select * from app_test.work_once(''w1'', ''sbxQ'', 9, ''{"appVersion": "v1"}'')', 'no task is executed again');
create temp table lane as select * from app_test.work_once('w1', 'intentQ', 9, '{"appVersion": "v1"}');
select is((select array_agg(row(run_id, step_id)::text) from lane), array[format('(%s,S2)', :'f1')], 'one step is executed');
select is((select row(context #>> '{outputs,S0}', context #>> '{outputs,Fan,output}', jsonb_array_length(context #> '{outputs,Fan,tasks}'), context #>> '{gates,approve-plan,notes}')::text from lane), '(zero,made,2,fine)', 'it sees the outputs and answers that are reused');
select w.* from lane, app_test.report(app_test.done(lane)) as w \g /dev/null
select is(app_test.status_of(:'f1'), 'WAITING_INPUT', 'a later gate asks again');
select app.reply_gate(:'f1', 'later', '{"n": 5}', '1', 'bob') \g /dev/null
select pg_temp.end_step('{}') \g /dev/null
select is(app_test.status_of(:'f1'), 'SUCCESS', 'the fork succeeds where the source failed');
select is((select array_agg(seen_count) from app.mock_receipts), array[1, 1], 'no task ran twice');
select is_empty('select * from app.v_invariants', 'every law is kept');
select is((select count(*) from app.artifacts where run_id = :'f1' and step_id = 'OPS'), 1::bigint, 'the audit artifacts of the source stay with it: the one of the fork is its own reply');

-- at the last step: both gates are passed, also the one whose answer merely says no
select is(pg_temp.fork(:'source', 3), :'f2', 'a second fork counts on');
select is(app_test.status_of(:'f2') || ' ' || pg_temp.steps(:'f2'), 'PENDING 0.1 SUCCESS, 1.2 SUCCESS, 1.1 SUCCESS, 1.1 SUCCESS, 2.1 SUCCESS, 3.1 ENQUEUED', 'a gate that was passed is not asked again');
select is((select payload from app.gates where run_id = :'f2' and gate_key = 'later'), '{"decision": "no", "n": 4}'::jsonb, 'whatever its answer was');

-- a fork of a fork, and one of that
select is(pg_temp.fork(:'f1', 1), :'f3', 'a fork of a fork counts with its root');
select is((select row(forked_from, root_id)::text from app.runs where run_id = :'f3'), format('(%s,%s)', :'f1', :'source'), 'and knows both');
select is((select cached_from from app.run_steps where run_id = :'f3' and idx = 0), :'source', 'what is reused tells where it ran, not where it was copied');
select is((select count(*) from app.artifacts where run_id = :'f1' and inline ->> 'op' = 'fork'), 1::bigint, 'the audit artifact is that of the fork');
select is(pg_temp.fork(:'f3', 0) || pg_temp.steps(:'f4'), :'f4' || '0.1 ENQUEUED', 'at step 0 nothing is reused');
select is_empty(format('select * from app.gates where run_id in (%L, %L)', :'f3', :'f4'), 'and no gate');

-- mended inputs, another version
create temp table patched as select app.fork_run(:'source', 1, 'ann', 'fix', app_version => 'v2', inputs => '{"a": {"b": 2}}') ->> 'forkedWorkflowID' as run_id;
select is((select row(run_id, app_version)::text from app.runs join patched using (run_id)), format('(%s,v2)', :'f5'), 'it runs in another version');
select is((select i.body from app.runs as r join patched using (run_id) join app.intents as i using (intent_id)), '{"goal": "g", "inputs": {"a": {"b": 2}}, "constraints": {}}'::jsonb, 'of an intent with the patch');
select is((select i.intent_id = 'ih_' || app.sha256_hex(app.canonical_json(i.body)) and i.intent_id <> :'source' from app.runs as r join patched using (run_id) join app.intents as i using (intent_id)), true, 'that has its own id');
select is((select body -> 'inputs' from app.intents where intent_id = :'source'), '{}'::jsonb, 'the old one is what it was');
select is((select inline -> 'inputs' || jsonb_build_array(inline -> 'appVersion') from app.artifacts where run_id = :'source' and inline ->> 'forkedWorkflowID' = :'f5'), '[{"a": {"b": 2}}, "v2"]'::jsonb, 'the audit artifact tells both');
select is((select context #> '{intent,inputs}' from app_test.work_once('w2', 'intentQ', 1, '{"appVersion": "v2"}')), '{"a": {"b": 2}}'::jsonb, 'the step sees the patched inputs');
select app.fork_run(:'source', 0, 'ann', 'x', inputs => 'null') ->> 'forkedWorkflowID' as unpatched \gset
select is((select intent_id from app.runs where run_id = :'unpatched'), :'source', 'a patch that is null is none');

-- what cannot be
select is(pg_temp.rows_of(:'source'), rows, 'after all that, the source is the same') from was;
create temp table before as select app_test.everything() as hash;
select is(app_test.error_of(format('select app.fork_run(%L, 4, ''ann'', ''x'')', :'source')) - array['message', 'hint'], '{"sqlstate": "PT409", "code": "fork_out_of_range", "status": "ERROR"}'::jsonb, 'beyond the last step');
select is(app_test.error_of(format('select app.fork_run(%L, 2, ''ann'', ''x'')', :'f4')) - array['message', 'hint'], '{"sqlstate": "PT409", "code": "fork_needs_finished_steps", "status": "ENQUEUED"}'::jsonb, 'a step before it has not finished');
select is(app_test.faults_of(format('select app.fork_run(%L, -1, ''ann'', ''x'')', :'source')), 'step_n', 'before the first step');
select is(app.fork_run(:'source', 3, 'ann', 'x', 'v3', '{"z": 1}', dry_run => true) - 'forkedWorkflowID', jsonb_build_object('accepted', true, 'workflowID', :'source', 'stepN', 3, 'dryRun', true), 'a dry run is told what would be');
select is(app_test.error_of(format('select app.fork_run(%L, 4, ''ann'', ''x'', dry_run => true)', :'source')) ->> 'code', 'fork_out_of_range', 'and refused like the real one');
select is(app_test.everything(), hash, 'neither writes anything') from before;

-- a source that is at work, and at its gate
select app_test.a_run_at('approve-plan', 'works') as works \gset
create temp table works_was as select pg_temp.rows_of(:'works') as rows;
select is(app_test.status_of(pg_temp.fork(:'works', 2)), 'WAITING_INPUT', 'a fork at a gate nobody has answered asks, too');
select is(pg_temp.rows_of(:'works'), rows, 'its source goes on waiting') from works_was;
select app.approve_plan(:'works' || '-f1', 'ann', 'no', 'no') \g /dev/null
select pg_temp.fork(:'works' || '-f1', 2) as asked \gset
select is((select row(r.status, g.status, g.round)::text from app.runs as r join app.gates as g using (run_id) where r.run_id = :'asked'), '(WAITING_INPUT,OPEN,1)', 'a no is not reused: it asks for the first time');
select is_empty('select * from app.v_invariants');
rollback;
