-- The same result again is refused: a runner that lost the answer may repeat its call.
begin;
select plan(7);

select app_test.a_recipe('one', '[{}]'), app_test.a_run('g', 'one') as run_id \gset
create temp table lane as select * from app_test.work_once();
select is((select count(*) from app.work('w1', (select jsonb_build_array(r, r) from (select app_test.done(lane) as r from lane) as x))), 0::bigint, 'twice in one batch is once');
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'the run is over');
create temp table before as select app_test.everything() as hash;
select is((select w.outcome || w.reason from lane, app.work('w1', jsonb_build_array(app_test.done(lane))) as w), 'refused' || 'already_committed', 'again it is refused');
select is((select w.outcome || w.reason from lane, app.work('w2', jsonb_build_array(app_test.done(lane))) as w), 'refused' || 'stale_lease', 'as is that of somebody else');
select is(app_test.everything(), hash, 'and writes nothing') from before;
select is((select count(*) from app.artifacts), 1::bigint, 'its artifacts are written once');
select is_empty('select * from app.v_invariants');
rollback;
