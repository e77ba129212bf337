-- start_run belongs to the caller's transaction.
begin;
select plan(4);

select app_test.a_recipe() \g /dev/null
create temp table i as select app_test.an_intent() as id;
create temp table before as select app_test.everything() as hash;
savepoint s;
select app.start_run(id, '{"recipeName": "plain", "timeoutMS": 1000}') ->> 'isReplay' as is_replay from i \gset
rollback to s;
select is(:'is_replay'::text, 'false', 'it starts');
select is(app_test.everything(), hash, 'rolled back, nothing of it is left') from before;
select is(app.start_run(id, '{"recipeName": "plain"}') -> 'isReplay', 'false'::jsonb, 'and it starts anew, with other arguments') from i;
select is_empty('select * from app.v_invariants');
rollback;
