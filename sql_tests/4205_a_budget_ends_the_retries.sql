-- budget.attempts counts all attempts of the run; without backoff a retry is in line at once.
begin;
select plan(5);

select app_test.a_recipe('r', '[{"retry": {"maxAttempts": 9, "retryableCodes": ["infra"]}}]'), app_test.a_run('g', 'r', '{"budget": {"attempts": 2}}') as run_id \gset
select app_test.fail_step('infra') \g /dev/null
select is((select status from app.run_steps where attempt = 2), 'ENQUEUED', 'no backoff: the second attempt is in line at once');
select is_empty('select * from app.timers', 'without a timer');
select app_test.fail_step('infra') \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'a third is over the budget');
select is((select count(*) from app.run_steps), 2::bigint, 'two attempts');
select is_empty('select * from app.v_invariants');
rollback;
