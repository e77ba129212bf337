-- join firstFailure: the first task that fails for good ends the step; what has no worker is cancelled, what has one is told and may commit.
begin;
select plan(10);

select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task", "join": "firstFailure", "retry": {"maxAttempts": 2, "retryableCodes": ["infra"], "backoff": {"initialMS": 1000}}}}]'),
  app_test.a_run('g', 'fan') as run_id \gset
select app_test.finish_step('{"tasks": [0, 1, 2, 3, 4]}') \g /dev/null
create temp table task as select *, (context ->> 'task')::integer as n from app_test.work_once('w1', 'sbxQ', 4);
select count(*) from app.work('w1', (select jsonb_agg(app_test.done(k)) from task as k where n = 0)) \g /dev/null
select count(*) from app.work('w1', (select jsonb_agg(app_test.failed(k, 'infra')) from task as k where n = 1)) \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'a failure that is tried again ends nothing');
select count(*) from app.work('w1', (select jsonb_agg(app_test.failed(k, 'broken')) from task as k where n = 2)) \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the first one for good ends the run');
select is(app.get_run(:'run_id') #>> '{error,message}', '2 of 5 tasks failed: it did not work', 'and says how many had failed');
select results_eq(format('select distinct on (task_idx) task_idx, status from app.run_steps where run_id = %L and task_key <> '''' order by task_idx, attempt desc', :'run_id'),
  $$values (0, 'SUCCESS'), (1, 'ERROR'), (2, 'ERROR'), (3, 'PENDING'), (4, 'CANCELLED')$$, 'what had not begun is cancelled');
select is((select directive from app.heartbeat('w1', (select jsonb_agg(app_test.lease(k)) from task as k where n = 3))), 'cancel', 'what has a worker is told');
select is((select count(*) from app.timers where fired_at is null and closed_at is null), 0::bigint, 'nothing is tried again');
select count(*) from app.work('w1', (select jsonb_agg(app_test.done(k)) from task as k where n = 3)) \g /dev/null
select is((select status from app.run_steps where run_id = :'run_id' and task_idx = 3), 'SUCCESS', 'and may commit');
select app.repair_run(:'run_id', 'ann', 'again') \g /dev/null
select app_test.finish_step('{"tasks": [0, 1, 2, 3, 4]}') \g /dev/null
select is((select count(*) from app_test.work_once('w1', 'sbxQ', 9)), 3::bigint, 'repaired, only what has not succeeded runs again');
select is((select tasks_open from app.run_steps where run_id = :'run_id' and task_key = '' order by attempt desc limit 1), 3, 'and is waited for');
select is_empty('select * from app.v_invariants');
rollback;
