-- Families go from the leaves: a run that has a fork stays until the fork is purged, and the numbers of forks are never given again.
begin;
select plan(11);

select app_test.a_run_at('approve-plan', 'a') as root \gset
select app.fork_run(:'root', 1, 'ann', 'x') ->> 'forkedWorkflowID' as f1 \gset
select app.fork_run(:'root', 1, 'ann', 'x') ->> 'forkedWorkflowID' as f2 \gset
select app.fork_run(:'f1', 1, 'ann', 'x') ->> 'forkedWorkflowID' as f3 \gset
select app.cancel_run(r, 'ann', 'x') from unnest(array[:'root', :'f1', :'f2']) as r \g /dev/null
select app.advance('1 day') \g /dev/null

select is(app.purge_runs('1 hour', 'ann', 'x') -> 'purged', '1', 'a fork of a fork is under way: its line stays');
select set_eq('select run_id from app.runs', array[:'root', :'f1', :'f3'], 'but not the other fork');
select is(app.fork_run(:'root', 0, 'ann', 'x', dry_run => true) ->> 'forkedWorkflowID', :'root' || '-f4', 'its number is not given again');
select app.fork_run(:'f1', 0, 'ann', 'x') ->> 'forkedWorkflowID' as f4 \gset
select is(:'f4'::text, :'root' || '-f4', 'nor by a fork of a fork');
select app.cancel_run(r, 'ann', 'x') from unnest(array[:'f3', :'f4']) as r \g /dev/null
select app.advance('1 day') \g /dev/null
select is_empty('select * from app.v_invariants', 'what the forks reuse is there');
select is((select string_agg(app.purge_runs('1 hour', 'ann', 'x') ->> 'purged', ' ') from generate_series(1, 4)), '2 1 1 0', 'leaves first, call by call');
select is(app.get_run(:'f3') ->> 'forkedFrom', :'f1', 'where a purged fork came from is still told');

-- a step in flight keeps its run
select app_test.a_run('working') as working \gset
select * from app_test.work_once() \g /dev/null
select app.cancel_run(:'working', 'ann', 'x') \g /dev/null
select app.advance('1 day') \g /dev/null
select is(app.purge_runs('0', 'ann', 'x') -> 'purged', '0', 'a step in flight keeps its run');
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is(app.purge_runs('0', 'ann', 'x') -> 'purged', '1', 'until its lease is over');
select is_empty('select * from app.leases()', 'no lease is left');
select is_empty('select * from app.v_invariants');
rollback;
