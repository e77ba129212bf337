-- An answer that comes before the gate opens is kept; the run passes without waiting.
begin;
select plan(9);

select app_test.a_run_at('CompileST') as run_id \gset
select is(app.approve_plan(:'run_id', 'ann') -> 'accepted', 'true'::jsonb, 'accepted ahead of time');
select is(app_test.status_of(:'run_id'), 'ENQUEUED', 'the run is where it was');
select is(app.list_gates(:'run_id') #>> '{0,status}', 'ANSWERED', 'the reply is kept');
select is_empty('select * from app.v_invariants', 'healthy meanwhile');
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run does not wait');
select is((select step_id from app_test.work_once()), 'DecideST', 'the guarded step is next');

select app_test.a_run_at('CompileST', 'second') as second \gset
select app.approve_plan(:'second', 'ann', 'not this', decision => 'no'), app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'second'), 'ERROR', 'a no ahead of time ends the run at the gate');
select is((select count(*) from app.run_steps where run_id = :'second'), 2::bigint, 'not before');
select is_empty('select * from app.v_invariants');
rollback;
