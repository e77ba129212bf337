-- max_recoveries of the queue: a step that loses its worker too often in a row ends the run in MAX_RECOVERY_ATTEMPTS_EXCEEDED.
begin;
select plan(12);

update app.queues set max_recoveries = 2 where queue_name = 'intentQ';
select app_test.a_recipe('r', '[{"retry": {"maxAttempts": 3, "retryableCodes": ["infra"]}}, {}]'), app_test.a_run('g', 'r') as run_id \gset
create function pg_temp.lose() returns text language sql as $$
  select app_test.work_once('w1'), app_test.age_leases('1 minute'), app_test.recover();
  select r.status from app.runs as r $$;
select is(pg_temp.lose(), 'PENDING', 'once');
select is(pg_temp.lose(), 'PENDING', 'twice');
select app_test.fail_step('infra') \g /dev/null
select is(pg_temp.lose(), 'PENDING', 'an attempt that ended otherwise begins the count anew');
select is(pg_temp.lose(), 'PENDING', 'twice again');
select is(pg_temp.lose(), 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'the third time in a row is one too many');
select is(error - 'message', '{"code": "max_recovery_attempts_exceeded", "stepID": "S0", "attempt": 6}'::jsonb, 'the run tells why') from app.runs;
select is(app.get_run(:'run_id') ->> 'nextAction', 'RESUME', 'and what can be done');
select is((select array_agg(error ->> 'code' order by attempt) from app.run_steps),
  array['lease_expired', 'lease_expired', 'infra', 'lease_expired', 'lease_expired', 'max_recovery_attempts_exceeded'], 'every attempt tells how it ended');
select is_empty('select * from app_test.work_once(n => 9)', 'nothing to claim');
select is_empty('select * from app.leases()', 'no lease');
select is_empty('select * from app.timers where fired_at is null and closed_at is null', 'no timer');
select is_empty('select * from app.v_invariants');
rollback;
