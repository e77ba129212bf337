-- The retry policy of the fan-out is that of each task, not of the step.
begin;
select plan(10);

select app_test.a_recipe('r', '[{"stepId": "FanST", "retry": {"maxAttempts": 5, "retryableCodes": ["infra"]}, "fanOut": {"queue": "sbxQ", "handler": "t/task",
  "retry": {"maxAttempts": 2, "backoff": {"initialMS": 1000}, "retryableCodes": ["infra"]}}}]'), app_test.a_run('g', 'r') as run_id \gset
select app_test.finish_step('{"tasks": [1, 2]}') \g /dev/null
select app_test.fail_step('infra', queue => 'sbxQ') ->> 'task_key' as failing \gset
select is((select tasks_open from app.run_steps where task_key = ''), 2, 'a task that will be retried is still open');
select is(task_key, :'failing', 'its timer knows it') from app.timers;
select is_empty('select * from app.v_invariants', 'healthy between attempts');
select app.advance('1 second'), app_test.recover() \g /dev/null
create temp table task as select * from app_test.work_once(queue => 'sbxQ', n => 5);
select set_eq('select task_key, attempt from task', format($$select %L as task_key, 2 as attempt union all select app.task_key(%L, 'FanST', '2'), 1$$, :'failing', :'run_id'), 'the failed one has a second attempt');
select is(context -> 'task', '1'::jsonb, 'of the same task') from task where attempt = 2;
select app_test.report(app_test.done(task)) from task where attempt = 1 \g /dev/null
select app_test.report(app_test.done(task, '{"receipt": true}')) from task where attempt = 2 \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'and the run succeeds');

select app_test.a_run('exhausted', 'r') as second \gset
select app_test.finish_step('{"tasks": [1]}'), app_test.fail_step('infra', queue => 'sbxQ'), app.advance('1 second'), app_test.recover(), app_test.fail_step('infra', queue => 'sbxQ') \g /dev/null
select is(app_test.status_of(:'second'), 'ERROR', 'exhausted attempts of a task end the run');
select is((select count(*) from app.run_steps where run_id = :'second' and task_key = ''), 1::bigint, 'the step itself is not tried again');
select is((select array_agg(seen_count) from app.mock_receipts), array[1], 'a failed attempt has no receipt');
select is_empty('select * from app.v_invariants');
rollback;
