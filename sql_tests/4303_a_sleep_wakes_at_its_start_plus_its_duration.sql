-- A step that sleeps is a parked attempt with a timer: no worker, no slot, whoever is alive wakes it, never early.
begin;
select plan(12);

select app_test.a_recipe('nap', '[{}, {"stepId": "Nap", "sleep": {"ms": 60000}}, {}]') \g /dev/null
select app_test.a_run('g', 'nap') as run_id \gset
select app_test.finish_step() \g /dev/null
select results_eq(format('select step_id, status, parked_at is not null, msg_id is null from app.run_steps where run_id = %L and idx = 1', :'run_id'),
  $$values ('Nap', 'PENDING', true, true)$$, 'asleep: PENDING without a worker');
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run is under way');
select is_empty('select * from app_test.work_once(''w1'', ''intentQ'', 5)', 'nobody can claim it');
select app.advance('59 seconds') \g /dev/null
select app_test.recover() \g /dev/null
select is((select status from app.run_steps where run_id = :'run_id' and idx = 1), 'PENDING', 'not yet');
select app.advance('1 second') \g /dev/null
select app_test.recover() \g /dev/null
select is((select status from app.run_steps where run_id = :'run_id' and idx = 1), 'SUCCESS', 'it wakes');
select is((select status from app.run_steps where run_id = :'run_id' and idx = 2), 'ENQUEUED', 'and the next step is in line');
select is((select kind || ' ' || (((inline ->> 'wokeAt')::bigint - (inline ->> 'startedAt')::bigint) between 60000 and 62000) from app.artifacts where run_id = :'run_id' and step_id = 'Nap'), 'json_diagnostic true', 'with an artifact that says from when to when');

-- the duration may come from the intent; cancelled and resumed, it ends when it would have
select app_test.a_recipe('asked', '[{"stepId": "Nap", "sleep": {"input": "ms"}}]') \g /dev/null
select app.start_run(app.create_intent('{"goal": "g2", "inputs": {"ms": 10000}, "constraints": {}}') ->> 'intentId', '{"recipeName": "asked"}') ->> 'workflowID' as asked \gset
select app.advance('4 seconds'), app.cancel_run(:'asked', 'ann', 'x'), app.resume_run(:'asked', 'ann', 'x') \g /dev/null
select is((select max(fire_at) - min(created_at) < interval '11 seconds' from app.timers where run_id = :'asked' and kind = 'sleep'), true, 'resumed, it does not begin anew');
select app.advance('6 seconds') \g /dev/null
select app_test.recover() \g /dev/null
select is(app_test.status_of(:'asked'), 'SUCCESS', 'a run may be nothing but a sleep');
select app.start_run(app.create_intent('{"goal": "g3", "inputs": {}, "constraints": {}}') ->> 'intentId', '{"recipeName": "asked"}') ->> 'workflowID' as bad \gset
select is(app.get_run(:'bad') #>> '{error,code}', 'bad_sleep', 'without a duration it fails and says why');
select app_test.a_recipe('none', '[{"sleep": {"ms": 0}}, {"sleep": {"ms": 0}}]') \g /dev/null
select is(app_test.status_of(app_test.a_run('zero', 'none')), 'SUCCESS', 'no time at all is over at once');
select is_empty('select * from app.v_invariants');
rollback;
