-- Activating one retires the other; runs under way keep the version they started with.
begin;
select plan(10);

select app_test.a_recipe() as r \gset
select app_test.a_run('old') as old \gset
select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('C'))) as r \gset
select app_test.a_run('new') as new \gset
select results_eq($$select version, status from app.recipes where name = 'test' order by version$$, $$values (1, 'retired'), (2, 'active')$$, 'one is active');
select is(app.get_run(:'old') #>> '{recipe,version}', '1', 'the old run keeps its version');
select is(app.get_run(:'new') #>> '{recipe,version}', '2', 'the new run has the new one');
select is(app_test.finish(:'old'), 'SUCCESS', 'the old run goes on');
select is(app_test.attempts(:'old'), 'A 1 SUCCESS, B 1 SUCCESS', 'through its own steps');
select is(app.activate_recipe('test', 1), '{"name": "test", "version": 1}'::jsonb, 'an older version can be activated again');
select is(app_test.refusal($$select app.activate_recipe('test', 3)$$), 'PT404 recipe_not_found', 'no such version');
select is(app_test.refusal($$select app.activate_recipe('nobody')$$), 'PT404 recipe_not_found', 'no such recipe');
select results_eq($$select version from app.recipes where name = 'test' and status = 'active'$$, array[1], 'a refused activation changes nothing');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
