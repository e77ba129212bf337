-- timeoutMS counts from the start; what was in line is cancelled; a run that was over in time is not touched.
begin;
select plan(10);

select app_test.a_run('slow', options => '{"timeoutMS": 60000}') as slow, app_test.a_run('quick', options => '{"timeoutMS": 60000}') as quick \gset
create temp table lane as select * from app_test.work_once(n => 2);
select app.work('w1', jsonb_build_array(app_test.done(w))) from lane, app.work('w1', jsonb_build_array(app_test.done(lane))) as w where lane.run_id = :'quick' \g /dev/null
select is(app_test.status_of(:'quick'), 'SUCCESS', 'one is over in time');
select is((select closed_at is not null from app.timers where run_id = :'quick'), true, 'its timer is closed');
select app.release('w1', jsonb_build_array(app_test.lease(lane))) from lane where run_id = :'slow' \g /dev/null
select app.advance('59 seconds'), app_test.recover() \g /dev/null
select is(app_test.status_of(:'slow'), 'PENDING', 'not early');
select app.advance('1 second'), app_test.recover() \g /dev/null
select is(app_test.status_of(:'slow'), 'ERROR', 'then the other one is over');
select is(error ->> 'code', 'run_timeout', 'with the reason') from app.runs where run_id = :'slow';
select is((select array_agg(status order by attempt) from app.run_steps where run_id = :'slow'), array['ERROR', 'CANCELLED'], 'what was in line is cancelled');
select is_empty('select * from app_test.work_once()', 'nothing to claim');
select is(app_test.status_of(:'quick'), 'SUCCESS', 'a run that was over is not touched');
select is((select fired_at >= fire_at from app.timers where fired_at is not null), true, 'a timer never fires early');
select is_empty('select * from app.v_invariants');
rollback;
