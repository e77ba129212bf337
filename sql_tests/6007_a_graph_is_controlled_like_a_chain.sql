-- Cancel, resume and fork of a graph with a sleep, a gate, a map and a condition under way: what is done stays, what was open goes on.
begin;
select plan(17);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.step_id || ' ' || s.status, ', ' order by s.idx, s.attempt) from app.run_steps as s where s.run_id = $1 and s.task_key = '' $$;
select app_test.a_recipe('web', '[{"stepId": "A"}, {"stepId": "Nap", "needs": ["A"], "sleep": {"ms": 60000}}, {"stepId": "Gated", "needs": ["A"], "gate": {"key": "approve-plan"}},
  {"stepId": "Map", "needs": ["A"], "map": {"over": "$.outputs.A[*]", "queue": "sbxQ", "handler": "t/m"}}, {"stepId": "Never", "needs": ["A"], "when": "$.outputs.A == 1"},
  {"stepId": "Work", "needs": ["A"]}, {"stepId": "End", "needs": ["Nap", "Gated", "Map", "Never", "Work"]}]') \g /dev/null
select app_test.a_run('g', 'web') as run_id \gset
select app_test.finish_step('{"output": ["x", "y"]}') \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, Nap PENDING, Map PENDING, Never SUCCESS, Work ENQUEUED', 'everything that A lets begin has begun');
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'a gate is open, so the run waits for input');
select is((select step_id from app_test.work_once('w1', 'intentQ', 5)), 'Work', 'and its other branches are claimed all the same');
select app_test.finish_step('{"output": 1}', 'sbxQ') \g /dev/null

select app.cancel_run(:'run_id', 'ann', 'stop') \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, Nap CANCELLED, Map CANCELLED, Never SUCCESS, Work PENDING', 'cancelled, only the step in flight is left');
select is((select count(*) from app.timers where fired_at is null and closed_at is null) + (select count(*) from app.gates where status = 'OPEN'), 0::bigint, 'no timer, no gate');
select is_empty('select * from app.v_invariants');
select app.resume_run(:'run_id', 'ann', 'go on') \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, Nap CANCELLED, Nap PENDING, Map CANCELLED, Map PENDING, Never SUCCESS, Work PENDING', 'resumed, the open ones have new attempts, the one in flight goes on');
select is((select round || ' ' || status from app.gates where run_id = :'run_id'), '2 OPEN', 'the gate is asked again');
select is((select tasks_open from app.run_steps where run_id = :'run_id' and step_id = 'Map' and status = 'PENDING' and task_key = ''), 1, 'the map waits for the task that is not done');
select is_empty('select * from app.v_invariants');

select app.approve_plan(:'run_id', 'bob') \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select app_test.finish_step(), app_test.finish_step(), app_test.finish_step('{"output": 2}', 'sbxQ') \g /dev/null
select app.advance('1 minute'), app_test.recover() \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, Nap CANCELLED, Nap SUCCESS, Gated SUCCESS, Map CANCELLED, Map SUCCESS, Never SUCCESS, Work ERROR, Work SUCCESS, End ENQUEUED', 'all done, the join begins');
select app_test.fail_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'and fails');

-- forks
select is(app_test.error_of(format('select app.fork_run(%L, 7, ''ann'', ''x'')', :'run_id')) ->> 'code', 'fork_out_of_range', 'a graph has a last step, too');
select app.fork_run(:'run_id', 6, 'ann', 'fixed') ->> 'forkedWorkflowID' as last, app.fork_run(:'run_id', 1, 'ann', 'again') ->> 'forkedWorkflowID' as early \gset
select is((select string_agg(step_id || case when cached_from is null then '' else ' cached' end, ', ' order by idx) from app.run_steps where run_id = :'last' and task_key = ''),
  'A cached, Nap cached, Gated cached, Map cached, Never cached, Work cached, End', 'forked at the join, all before it is reused');
select is(pg_temp.steps(:'early'), 'A SUCCESS, Nap PENDING, Map PENDING, Never SUCCESS, Work ENQUEUED', 'forked early, everything that A lets begin begins anew');
select is(app_test.status_of(:'early'), 'WAITING_INPUT', 'its gate, too');
select is_empty('select * from app.v_invariants');
rollback;
