-- start_run works inside the caller's own transaction.
begin;
select plan(5);

select app_test.a_recipe() as r \gset
select app_test.footprint() as before \gset
savepoint mine;
create temporary table an_order (id integer);
select app_test.a_run() as run \gset
select is(app_test.run_status(:'run'), 'ENQUEUED', 'inside, it is there');
rollback to savepoint mine;
select is(app_test.run_status(:'run'), null, 'rolled back, it is not');
select is(app_test.footprint(), :'before', 'and left nothing, in no table');
select is((select count(*) from app_test.claim())::integer, 0, 'nobody can claim it');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
