-- approve_plan with a quorum takes the longest names that there may be, each for a person of its own.
begin;
select plan(5);

select app_test.a_recipe('r', '[{"gate": {"key": "approve-plan", "quorum": 2}}]'), app_test.a_run('g', 'r') as run_id, repeat('n', 255) as name \gset
select is((app.approve_plan(:'run_id', :'name' || '1') -> 'missing')::text, '1', 'one');
select is((app.approve_plan(:'run_id', :'name' || '1') -> 'isReplay')::text, 'true', 'again is a replay');
select is((app.approve_plan(:'run_id', :'name' || '2') -> 'isReplay')::text, 'false', 'one whose name ends otherwise is another');
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');
select is_empty('select * from app.v_invariants');
rollback;
