-- recover: expired leases go back in line and due timers fire without any runner, and it says what is left.
begin;
select plan(7);

select app_test.a_run('lost') as lost, app_test.a_recipe('naps', '[{"sleep": {"ms": 60000}}]'), app_test.a_run('naps', 'naps') as nap \gset
select app_test.work_once() \g /dev/null
select is(app.recover(), '{"expiredLeases": 0, "dueTimers": 0, "dueSchedules": 0}'::jsonb, 'nothing to do');
select is(app_test.status_of(:'nap') || (select count(*) from app.leases()), 'PENDING1', 'nothing done');
select app.advance('2 minutes'), app_test.age_leases('1 hour') \g /dev/null
select is(app.recover(), '{"expiredLeases": 0, "dueTimers": 0, "dueSchedules": 0}'::jsonb, 'nothing is left');
select is(app_test.status_of(:'nap'), 'SUCCESS', 'the timer has fired');
select is((select string_agg(status, ',' order by attempt) from app.run_steps where run_id = :'lost'), 'ERROR,ENQUEUED', 'the step that was lost is in line again');
select is_empty('select * from app.leases()', 'the lease is gone');
select is_empty('select * from app.v_invariants');
rollback;
