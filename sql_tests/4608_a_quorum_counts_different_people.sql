-- A gate with a quorum opens the way when so many different people said yes; one no is enough to end the run.
begin;
select plan(13);

select app_test.a_recipe('r', '[{"gate": {"key": "approve-plan", "quorum": 2}}]'), app_test.a_run('g', 'r') as run_id \gset
select is(app.approve_plan(:'run_id', 'ann') - 'approvedAt', jsonb_build_object('accepted', true, 'workflowID', :'run_id', 'isReplay', false, 'missing', 1), 'the first yes is not enough');
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'the run waits on');
select is((select missing from app.v_gates_open where run_id = :'run_id'), 1::bigint, 'and the oracle says for how many');
select is((app.approve_plan(:'run_id', 'ann') ->> 'isReplay')::boolean, true, 'the same person again is a replay');
select is(app_test.error_of(format('select app.approve_plan(%L, ''ann'', dedupe_key => ''other'')', :'run_id')) ->> 'code', 'already_replied', 'under another key it is refused');
select is(app.approve_plan(:'run_id', 'bob') - 'approvedAt', jsonb_build_object('accepted', true, 'workflowID', :'run_id', 'isReplay', false), 'a second person is');
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');
select is((select jsonb_agg(r -> 'origin') from jsonb_array_elements(app.list_gates(:'run_id') -> 0 -> 'replies') as r), '["ann", "bob"]', 'the ledger has both');
select is((select count(*) from app.artifacts where run_id = :'run_id' and step_id = 'OPS'), 2::bigint, 'each is audited');

select app_test.a_run('no', 'r') as no \gset
select app.approve_plan(:'no', 'ann'), app.approve_plan(:'no', 'bob', decision => 'no') \g /dev/null
select is(app_test.status_of(:'no'), 'ERROR', 'one no ends the run');

select app_test.a_recipe('late', '[{}, {"gate": {"key": "approve-plan", "quorum": 2}}]'), app_test.a_run('ahead', 'late', '{"priority": 0}') as ahead \gset
select app.approve_plan(:'ahead', 'ann') \g /dev/null
select app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'ahead'), 'WAITING_INPUT', 'one said yes ahead of time: the other is asked');
select app.approve_plan(:'ahead', 'bob') \g /dev/null
select is(app_test.status_of(:'ahead'), 'PENDING', 'and both count');
select is_empty('select * from app.v_invariants');
rollback;
