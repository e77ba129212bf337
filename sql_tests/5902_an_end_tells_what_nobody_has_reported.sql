-- take_ends: the trace of a run, and the attempts whose spans no runner has sent.
begin;
select plan(20);
select app.take_ends(1) \g /dev/null
create function pg_temp.trace_of(run_id text) returns jsonb language sql as $$ select t.trace from app.take_ends(1000) as t where t.trace ->> 'runId' = $1 order by t.end_id desc limit 1 $$;
create function pg_temp.told(trace jsonb) returns text language sql as $$
  select coalesce(string_agg(format('%s/%s%s %s', a ->> 'stepId', a ->> 'attempt', case a ->> 'taskKey' when '' then '' else ' task' end, a ->> 'status'), ', ' order by o), '')
  from jsonb_array_elements(nullif(trace -> 'attempts', 'null')) with ordinality as j (a, o) $$;

-- reported and not
select app_test.a_run('one') as one \gset
select app_test.finish_step('{"spanId": "00000000000000aa"}'), app_test.finish_step() \g /dev/null
select pg_temp.trace_of(:'one') as trace \gset
select is(:'trace'::jsonb - array['attempts', 'traceId', 'startedAt', 'endedAt'],
  format('{"runId": "%s", "status": "SUCCESS", "error": null, "recipe": "plain", "version": 1, "reopenedAt": null, "source": null, "gates": null}', :'one')::jsonb, 'the run');
select is(:'trace'::jsonb ->> 'traceId', (select trace_id from app.runs where run_id = :'one'), 'its trace');
select is((:'trace'::jsonb ->> 'startedAt')::bigint, (select app.epoch_us(created_at) from app.runs where run_id = :'one'), 'from its start');
select is((:'trace'::jsonb ->> 'endedAt')::bigint, (select app.epoch_us(ended_at) from app.runs where run_id = :'one'), 'to its end');
select is(pg_temp.told(:'trace'), 'S1/1 SUCCESS', 'an attempt with a span was sent by whoever executed it');

-- a lost worker
select app_test.a_run('lost') as lost \gset
select app_test.finish_step('{"spanId": "00000000000000aa"}', worker => 'w2') \g /dev/null
select app_test.work_once('w2') \g /dev/null
select app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select app_test.finish_step('{"spanId": "00000000000000bb"}', worker => 'w2') \g /dev/null
select is(pg_temp.told(pg_temp.trace_of(:'lost')), 'S0/1 SUCCESS, S1/1 ERROR', 'what a lost worker had, and what it had just reported; not what it did when it was back');
select app_test.a_run('long') as long \gset
select app_test.finish_step('{"spanId": "00000000000000aa"}', worker => 'w2'), app.advance('5 seconds') \g /dev/null
select app_test.work_once('w2') \g /dev/null
select app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select app_test.finish_step('{"spanId": "00000000000000bb"}') \g /dev/null
select is(pg_temp.told(pg_temp.trace_of(:'long')), 'S1/1 ERROR', 'what it had reported before that, it had sent');

-- tasks: the parent ends with the last of them
select app_test.a_run_at('ExecuteST', 'fan') as fan \gset
select app_test.finish_step('{"tasks": [1, 2], "spanId": "00000000000000cc"}') \g /dev/null
create temp table task as select * from app_test.work_once(queue => 'sbxQ', n => 2);
select is((select array_agg(distinct context -> 'parent') from task), array['{"attempt": 1, "spanId": "00000000000000cc"}'::jsonb], 'a task knows its parent');
select app.work('w1', (select jsonb_agg(app_test.done(task, '{"spanId": "00000000000000dd"}')) from task)) \g /dev/null
select pg_temp.trace_of(:'fan') as trace \gset
select is(pg_temp.told(:'trace'), 'CompileST/1 SUCCESS, ApplyPatchST/1 SUCCESS, DecideST/1 SUCCESS, ExecuteST/1 SUCCESS', 'the step that fanned out');
select is(:'trace'::jsonb #>> '{attempts,3,spanId}', '00000000000000cc', 'with the span that its tasks name');
select is(:'trace'::jsonb #>> '{gates,0,gateKey}' || ' ' || (:'trace'::jsonb #>> '{gates,0,status}'), 'approve-plan ANSWERED', 'and where it waited');
select app_test.a_run_at('ExecuteST', 'many') as many \gset
select app_test.finish_step('{"tasks": [1, 2, 3, 4, 5], "spanId": "00000000000000cc"}') \g /dev/null
select is((pg_temp.trace_of(:'many') #> '{attempts,3}') - array['startedAt', 'endedAt', 'worker', 'msgId', 'parent', 'partition'],
  '{"idx": 3, "stepId": "ExecuteST", "taskKey": "", "attempt": 1, "status": "ERROR", "queue": "intentQ", "spanId": "00000000000000cc", "skipped": false,
    "error": {"code": "too_many_tasks", "message": "the handler returned 5 tasks, the recipe allows 4"}}', 'tasks that were refused');

-- a fork
select app.fork_run(:'one', 1, 'ann', 'x') ->> 'forkedWorkflowID' as fork \gset
select is((app.get_steps(:'fork') #>> '{0,traceId}') || (app.get_steps(:'fork') #>> '{0,spanId}'), (select trace_id from app.runs where run_id = :'one') || '00000000000000aa', 'a reused step is in the trace where it ran');
select app_test.finish_step() \g /dev/null
select pg_temp.trace_of(:'fork') as trace \gset
select is(:'trace'::jsonb -> 'source', (select jsonb_build_object('runId', run_id, 'traceId', trace_id) from app.runs where run_id = :'one'), 'knows its source');
select isnt(:'trace'::jsonb ->> 'traceId', :'trace'::jsonb #>> '{source,traceId}', 'and has a trace of its own');
select is(pg_temp.told(:'trace'), 'S1/1 SUCCESS', 'without what it reused');
select app.cancel_run(app.fork_run(:'fan', 3, 'ann', 'x') ->> 'forkedWorkflowID', 'ann', 'x') ->> 'workflowID' as fork \gset
select is(pg_temp.told(pg_temp.trace_of(:'fork')), '', 'though nobody had told of that');

-- a resumed run: what ended before is not told again
select app_test.a_run('again') as again \gset
select app_test.finish_step() \g /dev/null
select app.cancel_run(:'again', 'ann', 'x') \g /dev/null
select app.resume_run(:'again', 'ann', 'x') \g /dev/null
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select app_test.finish_step() \g /dev/null
select is((select array_agg((t.trace ->> 'status') || ': ' || pg_temp.told(t.trace) order by t.end_id) from app.take_ends(10) as t),
  array['CANCELLED: S0/1 SUCCESS', 'SUCCESS: S1/2 ERROR, S1/3 SUCCESS'], 'each end has its own attempts');
select app_test.a_recipe('nap', '[{"sleep": {"ms": 1000}}, {"when": "1 == 2"}]') \g /dev/null
select app_test.a_run('nap', 'nap') as nap \gset
select app.advance('1 second'), app_test.recover() \g /dev/null
select is(pg_temp.told(pg_temp.trace_of(:'nap')), 'S0/1 SUCCESS, S1/1 SUCCESS', 'what the engine executes itself');
select is_empty('select * from app.v_invariants');
rollback;
