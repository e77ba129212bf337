-- Several timers of one run: each fires at its own time, once.
begin;
select plan(8);

select app_test.a_recipe('r', '[{"retry": {"maxAttempts": 2, "backoff": {"initialMS": 1000}, "retryableCodes": ["infra"]}}]'), app_test.a_run('g', 'r', '{"timeoutMS": 60000}') as run_id \gset
select app_test.fail_step('infra'), app.advance('1 second'), app_test.recover() \g /dev/null
select is((select array_agg(kind) from app.timers where fired_at is not null), array['retry'], 'the retry is due');
select is((select array_agg(kind) from app.timers where fired_at is null and closed_at is null), array['run_timeout'], 'the timeout is not');
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');
create temp table before as select app_test.everything() as hash;
select app_test.recover() \g /dev/null
select is((select app_test.everything()), hash, 'what fired does not fire again') from before;
select is((select count(*) from app.run_steps where attempt = 2), 1::bigint, 'one second attempt');
select app.advance('59 seconds'), app_test.recover() \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the timeout fires at its own time');
select is((select count(*) from app.timers where fired_at is not null), 2::bigint, 'each fired once');
select is_empty('select * from app.v_invariants');
rollback;
