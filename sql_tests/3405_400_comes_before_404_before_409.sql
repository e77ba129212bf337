-- A start with faults of every class answers with the first class that applies.
begin;
select plan(7);

select app_test.a_recipe() as r \gset
select app_test.a_run() as run \gset
select 'ih_' || repeat('0', 64) as nobody \gset
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName": "nobody", "lane": "fast"}')$$, :'nobody')), 'PT400 schema_violation', '400 before 404');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName": "test", "budget": {"steps": 1}}')$$, :'nobody')), 'PT400 budget_violation', 'policy before 404');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName": "test"}')$$, :'nobody')), 'PT404 intent_not_found', '404 for the intent');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName": "nobody", "priority": 9}')$$, :'run')), 'PT404 recipe_not_found', '404 before 409');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName": "test", "priority": 9}')$$, :'run')), 'PT409 drift', '409 last');
select is(app_test.refusal(format($$select app.start_run(%L, '{"recipeName": "test", "priority": 9, "lane": "fast"}')$$, :'run')), 'PT400 schema_violation', '400 before 409');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
