-- The join waits for every task; then one failure is the failure of the step and of the run.
begin;
select plan(10);

select app_test.a_run_at('ExecuteST') as run_id \gset
select app_test.finish_step('{"tasks": [{"n": 0}, {"n": 1}, {"n": 2}]}') \g /dev/null
create temp table task as select w.*, context #>> '{task,n}' as n from app_test.work_once(queue => 'sbxQ', n => 3) as w;
select app_test.report(app_test.failed(task, 'exit_1', '{"details": {"code": 1}}')) from task where n = '1' \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'a failure does not stop the others');
select app_test.report(app_test.failed(task, 'exit_2')) from task where n = '2' \g /dev/null
select is(tasks_open, 1, 'failures are counted off') from app.run_steps where idx = 3 and task_key = '';
select app_test.report(app_test.done(task)) from task where n = '0' \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the last task ends the step and the run');
select is(error ->> 'code', 'exit_1', 'with the first failure') from app.runs;
select matches(error ->> 'message', '^2 of 3 tasks failed', 'and how many') from app.runs;
select is(error ->> 'stepID', 'ExecuteST', 'at its step') from app.runs;
select is(status, 'ERROR', 'the step too') from app.run_steps where idx = 3 and task_key = '';
select is((select array_agg(status order by task_idx) from app.run_steps where task_key <> ''), array['SUCCESS', 'ERROR', 'ERROR'], 'the tasks keep their own');
select is_empty('select * from app.leases()', 'no lease is left');
select is_empty('select * from app.v_invariants');
rollback;
