-- The same version with other content is PT409, and nobody, the owner included, can change one.
begin;
select plan(8);

select app_test.a_recipe() as r \gset
select app_test.footprint() as before \gset
select is(app_test.refusal($$select app.put_recipe('{"name":"test","version":1,"steps":[{"stepId":"Z","handler":"h"}]}')$$), 'PT409 recipe_drift', 'another content');
select is(app_test.refusal($$update app.recipes set body = '{}' where name = 'test'$$), 'PT409 recipe_is_immutable', 'the owner cannot change the body');
select is(app_test.refusal($$update app.recipes set version = 9 where name = 'test'$$), 'PT409 recipe_is_immutable', 'nor the version');
select isnt(app_test.refusal($$update app.recipe_steps set handler = 'other/handler'$$), '', 'nor the steps that runs follow');
select isnt(app_test.refusal($$delete from app.recipe_steps$$), '', 'nor take steps away');
select isnt(app_test.refusal($$insert into app.recipe_steps (recipe_id, idx, step_id, handler, queue_name) select recipe_id, 2, 'C', 'h', 'intentQ' from app.recipes where name = 'test'$$), '', 'nor add one');
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
