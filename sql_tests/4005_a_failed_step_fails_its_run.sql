-- ERROR of the last attempt ends the run in ERROR with the reason; nothing after it starts.
begin;
select plan(7);

select app_test.a_run() as run_id \gset
select app_test.fail_step('broken', '{"details": {"why": 1}}') \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the run is over');
select is(error, '{"code": "broken", "message": "it did not work", "details": {"why": 1}, "stepID": "S0", "attempt": 1}'::jsonb, 'with the reason') from app.runs;
select is(app.get_steps(:'run_id') #>> '{0,error,code}', 'broken', 'the step has it too');
select is_empty($$select * from app_test.work_once()$$, 'the next step never starts');
select is((select count(*) from app.run_steps), 1::bigint, 'one attempt');
select is_empty('select * from app.leases()', 'no message is left');
select is_empty('select * from app.v_invariants');
rollback;
