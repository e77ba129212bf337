-- A run that ended while a step was at work: the step commits, the next never starts.
begin;
select plan(6);

select app_test.a_run('g', options => '{"timeoutMS": 1000}') as run_id \gset
create temp table lane as select * from app_test.work_once();
select app.advance('1 second'), app_test.recover() \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the run has ended');
select is((select status from app.run_steps), 'PENDING', 'its step is in flight');
select is_empty($$select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane, '{"output": 1}'))) as w$$, 'it commits, and gets no next step');
select is((select status from app.run_steps), 'SUCCESS', 'the work is kept');
select is((select count(*) from app.run_steps), 1::bigint, 'nothing follows');
select is_empty('select * from app.v_invariants');
rollback;
