-- A worker that is lost when its run had been cancelled already is no recovery: the count of max_recoveries begins anew with the resume.
begin;
select plan(6);

update app.queues set max_recoveries = 1 where queue_name = 'intentQ';
select app_test.a_run() as run_id \gset
create function pg_temp.lose() returns text language sql as $$
  select app_test.work_once('w1'), app_test.age_leases('1 minute'), app_test.recover();
  select r.status from app.runs as r $$;
select is(pg_temp.lose(), 'PENDING', 'lost once');
select app_test.work_once() \g /dev/null
select app.cancel_run(:'run_id', 'ann', 'x') \g /dev/null
select app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select is((select status || ' ' || lost || ' ' || (error ->> 'code') from app.run_steps where attempt = 2), 'CANCELLED true lease_expired', 'lost after the cancel');
select app.resume_run(:'run_id', 'ann', 'x') \g /dev/null
select is(pg_temp.lose(), 'PENDING', 'the first loss of the resumed run');
select is(pg_temp.lose(), 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'the second is one too many');
select is((select string_agg(error ->> 'code', ' ' order by attempt) from app.run_steps), 'lease_expired lease_expired lease_expired max_recovery_attempts_exceeded', 'every attempt tells how it ended');
select is_empty('select * from app.v_invariants');
rollback;
