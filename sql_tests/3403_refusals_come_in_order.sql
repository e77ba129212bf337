-- 400 before 404 before 409.
begin;
select plan(9);

select app_test.a_recipe(), app.put_recipe('{"name": "draft", "steps": [{"stepId": "A", "handler": "h"}]}') \g /dev/null
create function pg_temp.code(intent text, options text) returns text language sql as
  $$ select (e ->> 'sqlstate') || ' ' || (e ->> 'code') from app_test.error_of(format('select app.start_run(%L, %L)', intent, options)) as e $$;
create temp table i as select app_test.an_intent() as known, 'ih_' || repeat('0', 64) as unknown;
select app_test.a_run() \g /dev/null

select is(pg_temp.code(unknown, '{"recipeName": "nobody", "lane": "fast"}'), 'PT400 schema_violation', 'a bad shape goes first') from i;
select is(pg_temp.code(unknown, '{"recipeName": "plain", "workload": {"tasks": 2}, "budget": {"tasks": 1}}'), 'PT400 budget_violation', 'then policy') from i;
select is(pg_temp.code(unknown, '{"recipeName": "nobody"}'), 'PT404 intent_not_found', 'then the intent') from i;
select is(pg_temp.code(known, '{"recipeName": "nobody"}'), 'PT404 recipe_not_found', 'then the recipe') from i;
select is(pg_temp.code(known, '{"recipeName": "plain", "recipeVersion": 8}'), 'PT404 recipe_not_found', 'and its version') from i;
select is(pg_temp.code(known, '{"recipeName": "plain", "lane": "batch"}'), 'PT409 drift', 'then drift') from i;
select is(pg_temp.code(app_test.an_intent('2'), '{"recipeName": "draft"}'), 'PT409 recipe_not_active', 'a draft cannot start');
select is(pg_temp.code(known, '{"recipeName": "plain", "lane": "batch", "priority": "x"}'), 'PT400 schema_violation', '400 also before 409') from i;
select is(app_test.error_of($$select app.reply_gate('nobody', 'g', '{}', null, 'x')$$) ->> 'sqlstate', 'PT400', 'gates too: 400 before 404');
rollback;
