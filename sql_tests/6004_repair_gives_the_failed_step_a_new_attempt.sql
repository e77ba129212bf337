-- Repair: the failed step gets a new attempt and its tries anew, finished steps stay; a no, or an expiry, is asked again.
begin;
select plan(37);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.idx || '.' || s.attempt || ' ' || s.status, ', ' order by s.idx, s.task_key <> '', s.attempt, s.status) from app.run_steps as s where s.run_id = $1 $$;
create function pg_temp.repair(run_id text) returns text language sql as $$ select app.repair_run(run_id, 'ann', 'mended') ->> 'status' $$;
create function pg_temp.next_try() returns void language sql as $$ select app.advance('1 hour'), app_test.recover(); select app_test.fail_step('infra'); select null $$;

-- a step that used up its tries
select app_test.a_recipe('tries', '[{}, {"retry": {"maxAttempts": 2, "backoff": {"initialMS": 1000, "jitter": 0, "factor": 10, "maxMS": 3600000}, "retryableCodes": ["infra"]}}, {}]'),
  app_test.a_run('g', 'tries', '{"timeoutMS": 86400000}') as run_id \gset
select app_test.finish_step(), app_test.fail_step('infra'), pg_temp.next_try() \g /dev/null
select is(app_test.status_of(:'run_id') || ' ' || pg_temp.steps(:'run_id'), 'ERROR 0.1 SUCCESS, 1.1 ERROR, 1.2 ERROR', 'two tries are all the recipe gives');
create temp table was as select * from app.runs;
create temp table finished as select * from app.run_steps;
select app.advance('1 hour') \g /dev/null
select is(pg_temp.repair(:'run_id'), 'ENQUEUED', 'repaired');
select is(pg_temp.steps(:'run_id'), '0.1 SUCCESS, 1.1 ERROR, 1.2 ERROR, 1.3 ENQUEUED', 'the failed step gets a new attempt, the finished one stays');
select is_empty('select * from finished except select * from app.run_steps', 'what is over is not touched');
select is((select to_jsonb(r) - array['status', 'error', 'updated_at', 'ended_at', 'reopened_at'] from app.runs as r), to_jsonb(w) - array['status', 'error', 'updated_at', 'ended_at', 'reopened_at'], 'neither is what the run was started with') from was as w;
select is((select row(error, ended_at)::text from app.runs), '(,)', 'the error is gone');
select is((select inline -> 'error' from app.artifacts where step_id = 'OPS'), error, 'but kept in the audit artifact') from was;
select is((select array_agg((closed_at is not null)::text || (fire_at > app.now() + interval '23 hours')::text order by timer_id) from app.timers where kind = 'run_timeout'),
  array['truefalse', 'falsetrue'], 'the run timeout starts anew');
select app_test.fail_step('infra') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'a first try after the repair may fail');
select is((select fire_at - created_at from app.timers where kind = 'retry' and fired_at is null and closed_at is null), interval '1 second', 'the backoff starts anew');
select pg_temp.next_try() \g /dev/null
select is(app_test.status_of(:'run_id') || ' ' || pg_temp.steps(:'run_id'), 'ERROR 0.1 SUCCESS, 1.1 ERROR, 1.2 ERROR, 1.3 ERROR, 1.4 ERROR', 'the second is the last');
select pg_temp.repair(:'run_id'), app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id') || ' ' || pg_temp.steps(:'run_id'), 'SUCCESS 0.1 SUCCESS, 1.1 ERROR, 1.2 ERROR, 1.3 ERROR, 1.4 ERROR, 1.5 SUCCESS, 2.1 SUCCESS', 'repaired again, it succeeds');

-- a gate that was answered no
select app_test.a_run_at('approve-plan', 'no') as no \gset
select app.approve_plan(:'no', 'ann', 'not this', 'no') \g /dev/null
select is(app_test.status_of(:'no'), 'ERROR', 'a no ends the run');
select is(pg_temp.repair(:'no'), 'WAITING_INPUT', 'repaired, it asks again');
select is((select row(status, round, payload, answered_at, closed_at)::text from app.gates where run_id = :'no'), '(OPEN,2,,,)', 'the old answer is gone from the gate');
select is((select count(*) from app.gate_replies where run_id = :'no'), 1::bigint, 'and kept among the replies');
select is(app.approve_plan(:'no', 'ann', 'now yes') - 'approvedAt', jsonb_build_object('accepted', true, 'workflowID', :'no', 'isReplay', false), 'approve_plan works without another dedupe key');
select is(app.approve_plan(:'no', 'ann', 'now yes') -> 'isReplay', 'true'::jsonb, 'and twice');
select is(pg_temp.steps(:'no') || ' ' || app_test.status_of(:'no'), '0.1 SUCCESS, 1.1 SUCCESS, 2.1 ENQUEUED PENDING', 'the run goes on');
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select app_test.a_run_at('approve-plan', 'no, no') as twice \gset
select app.approve_plan(:'twice', 'ann', 'same', 'no'), pg_temp.repair(:'twice'), app.approve_plan(:'twice', 'ann', 'same', 'no') \g /dev/null
select is(app_test.status_of(:'twice'), 'ERROR', 'the same no again is a new no, not a replay');

-- a no ahead of time, a gate that expired, a gate before the first step
select app_test.a_recipe('ttl', '[{"gate": {"key": "approve-plan", "ttlMS": 60000}}, {}]'), app_test.a_run('expires', 'ttl') as expires \gset
select app.advance('1 minute'), app_test.recover() \g /dev/null
select is((select error ->> 'code' from app.runs where run_id = :'expires'), 'gate_expired', 'nobody answered');
select is(pg_temp.repair(:'expires'), 'WAITING_INPUT', 'repaired, it asks again');
select is((select row(status, round, closed_at, expires_at > app.now() + interval '50 seconds')::text from app.gates where run_id = :'expires'), '(OPEN,2,,t)', 'for as long as the first time');
select is((select count(*) from app.timers where run_id = :'expires' and kind = 'gate_ttl' and fired_at is null and closed_at is null), 1::bigint, 'its timer runs');
select app.approve_plan(:'expires', 'ann') where app_test.status_of(:'expires') = 'WAITING_INPUT' \g /dev/null
select is(pg_temp.steps(:'expires'), '0.1 ENQUEUED', 'the answer is taken');
select app_test.a_recipe('ask', '[{}, {"gate": {"key": "approve-plan"}}]'), app_test.a_run('ahead', 'ask', '{"priority": 0}') as ahead \gset
select app.approve_plan(:'ahead', 'ann', 'never', 'no'), app_test.finish_step(), pg_temp.repair(:'ahead') \g /dev/null
select is((select row(status, round)::text from app.gates where run_id = :'ahead'), '(OPEN,2)', 'a no that came ahead of its gate is asked again, too');

-- a run that timed out
select app_test.a_run('slow', options => '{"timeoutMS": 60000, "priority": 0}') as slow \gset
select app_test.finish_step(), app.advance('1 minute'), app_test.recover() \g /dev/null
select is((select error ->> 'code' from app.runs where run_id = :'slow'), 'run_timeout', 'a run times out');
select is(pg_temp.repair(:'slow') || ' ' || pg_temp.steps(:'slow'), 'ENQUEUED 0.1 SUCCESS, 1.1 CANCELLED, 1.2 ENQUEUED', 'and goes on');
select app_test.finish_step(), app_test.recover() \g /dev/null
select is(app_test.status_of(:'slow'), 'SUCCESS', 'in the time it has again');

-- recoveries count anew
update app.queues set max_recoveries = 1 where queue_name = 'intentQ';
select app_test.a_recipe('one', '[{}]'), app_test.a_run('pill', 'one', '{"priority": 0}') as pill \gset
create function pg_temp.lose() returns text language sql as $$
  select app_test.work_once('w1'), app_test.age_leases('1 minute'), app_test.recover();
  select r.status from app.runs as r order by r.priority, r.created_at desc limit 1 $$;
select is(pg_temp.lose() || ' ' || pg_temp.lose(), 'PENDING MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'one recovery, and no more');
select is(app.resume_run(:'pill', 'ann', 'again') ->> 'status', 'ENQUEUED', 'resumed');
select is(pg_temp.lose() || ' ' || pg_temp.lose(), 'PENDING MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'it has its recoveries anew');

-- a fan-out: only the failed task is executed again, and only the tasks of the new attempt count
select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task"}}]'), app_test.a_run('fan', 'fan', '{"priority": 0}') as fan \gset
select app_test.finish_step('{"tasks": ["a", "b"]}'), app_test.finish_step('{"receipt": true}', 'sbxQ'), app_test.fail_step('broken', queue => 'sbxQ') \g /dev/null
select is(pg_temp.repair(:'fan') || ' ' || pg_temp.steps(:'fan'), 'ENQUEUED 0.1 ERROR, 0.2 ENQUEUED, 0.1 ERROR, 0.1 SUCCESS', 'a step with a failed task makes its tasks again');
select app_test.finish_step('{"tasks": ["a", "b"]}') \g /dev/null
select is(pg_temp.steps(:'fan'), '0.1 ERROR, 0.2 PENDING, 0.1 ERROR, 0.1 SUCCESS, 0.2 ENQUEUED', 'only the failed one is executed again');
select jsonb_build_object('tasks', jsonb_agg(input)) as tasks from app.run_steps where run_id = :'fan' and task_key <> '' and status = 'SUCCESS' \gset
select app_test.fail_step('broken', queue => 'sbxQ'), pg_temp.repair(:'fan'), app_test.finish_step(:'tasks') \g /dev/null
select is(app_test.status_of(:'fan'), 'SUCCESS', 'a new attempt without the failed task is over at once');
select is((select seen_count from app.mock_receipts), 1, 'the finished one was executed once');
select is_empty('select * from app.v_invariants');
rollback;
