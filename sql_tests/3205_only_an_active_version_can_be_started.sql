-- A draft is PT409; a version that does not exist is PT404.
begin;
select plan(5);

select app.put_recipe('{"name":"r","steps":[{"stepId":"A","handler":"h"}]}') as r \gset
select app_test.an_intent() as intent \gset
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName":"r"}')$$, :'intent')), 'PT409 recipe_not_active', 'a draft');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName":"r","recipeVersion":1}')$$, :'intent')), 'PT409 recipe_not_active', 'a draft by its version');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName":"r","recipeVersion":2}')$$, :'intent')), 'PT404 recipe_not_found', 'a version that does not exist');
select app.activate_recipe('r') as a \gset
select is(app.start_run(:'intent', '{"recipeName":"r"}') ->> 'status', 'ENQUEUED', 'once active it starts');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
