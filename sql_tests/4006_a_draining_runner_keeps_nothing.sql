-- drain: the result commits, the next step of the lane goes in line instead of staying with the worker.
begin;
select plan(5);

select app_test.a_run() as run_id \gset
create temp table lane as select * from app_test.work_once();
select is_empty($$select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane)), '{"drain": true}') as w$$, 'no step is continued');
select is((select status from app.run_steps where idx = 1), 'ENQUEUED', 'the next one is in line');
select is_empty('select * from app.leases()', 'the lease is gone');
select is((select step_id from app_test.work_once('w2')), 'S1', 'anybody may claim it');
select is_empty('select * from app.v_invariants');
rollback;
