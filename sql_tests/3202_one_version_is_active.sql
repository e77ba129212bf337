-- activate_recipe chooses the version that new runs take; runs under way keep theirs.
begin;
select plan(12);

select app.put_recipe('{"name": "r", "steps": [{"stepId": "A", "handler": "one"}]}'), app.put_recipe('{"name": "r", "steps": [{"stepId": "A", "handler": "two"}]}') \g /dev/null
select is(app_test.error_of($$select app.start_run(app_test.an_intent(), '{"recipeName": "r"}')$$) ->> 'code', 'recipe_not_active', 'a draft starts nothing');
select is(app.activate_recipe('r', 1), '{"name": "r", "version": 1}'::jsonb, 'a version can be named');
select is(app.start_run(app_test.an_intent('1'), '{"recipeName": "r"}') #>> '{recipe,version}', '1', 'runs take the active version');
select is(app.activate_recipe('r'), '{"name": "r", "version": 2}'::jsonb, 'without a number it is the newest');
select is(app.start_run(app_test.an_intent('2'), '{"recipeName": "r"}') #>> '{recipe,version}', '2', 'runs take it from now on');
select is((select array_agg(status order by version) from app.recipes where name = 'r'), array['retired', 'active'], 'one version is active');
create temp table before as select app_test.everything() as hash;
select is(app.activate_recipe('r', 2) ->> 'version', '2', 'again');
select is(app_test.everything(), hash, 'writes nothing') from before;
select is(app_test.error_of($$select app.start_run(app_test.an_intent('3'), '{"recipeName": "r", "recipeVersion": 1}')$$) ->> 'code', 'recipe_not_active', 'a retired version starts nothing');
select is((select array_agg(run_id || handler order by handler) from app_test.work_once(n => 2)),
  array[app_test.an_intent('1') || 'one', app_test.an_intent('2') || 'two'], 'each run does the steps of its own version');
select is(app_test.error_of($$select app.activate_recipe('nobody')$$) ->> 'code', 'recipe_not_found', 'an unknown recipe');
select is_empty('select * from app.v_invariants');
rollback;
