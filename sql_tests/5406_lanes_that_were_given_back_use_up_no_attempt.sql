-- A step with one attempt survives any number of releases, restarts and lost workers below the limit; its own error still ends it.
begin;
select plan(6);

select app_test.a_recipe('one', '[{"retry": {"maxAttempts": 2, "retryableCodes": ["infra"]}}]'), app_test.a_run('g', 'one') as run_id \gset
create temp table lane as select * from app_test.work_once();
select is(app.release('w1', (select jsonb_agg(app_test.lease(l)) from lane as l)), 1, 'given back');
select app_test.work_once(), app.register_worker('w1', '{"appVersion": "0.1.0", "queues": ["intentQ"], "concurrency": 1}') \g /dev/null
select is((select array_agg(error ->> 'code' order by attempt) from app.run_steps where status = 'ERROR'), array['lease_released', 'lease_expired'], 'given back and lost');
select app_test.fail_step('infra') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'the first error of its own is retried');
select is((select max(attempt) from app.run_steps), 4, 'as the fourth attempt');
select app_test.fail_step('infra') \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the second one of its own ends the run');
select is_empty('select * from app.v_invariants');
rollback;
