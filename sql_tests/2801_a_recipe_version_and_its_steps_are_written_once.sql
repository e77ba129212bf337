-- What a run pinned stays what it was: no writer, the owner included, changes, adds to or takes from a recipe version.
begin;
select plan(12);

select app_test.a_recipe('kept'), app_test.a_recipe('draft') \g /dev/null
select app.put_recipe('{"name": "draft", "steps": [{"stepId": "Z", "handler": "h"}]}') \g /dev/null
create temp table before as select app_test.everything() as hash;
select is(app_test.error_of(statement) ->> 'code', 'recipe_is_immutable', statement)
from unnest(array[
  $$update app.recipes set body = '{}' where name = 'kept'$$,
  $$update app.recipes set version = 9 where name = 'kept'$$,
  $$update app.recipes set settings = '{"a": 1}' where name = 'kept'$$,
  $$update app.recipes set queue_name = 'sbxQ' where name = 'kept'$$,
  $$delete from app.recipes where name = 'kept'$$,
  $$update app.recipe_steps set handler = 'other' where step_id = 'S0'$$,
  $$update app.recipe_steps set idx = idx + 10$$,
  $$delete from app.recipe_steps where step_id = 'S1'$$,
  $$insert into app.recipe_steps (recipe_id, idx, step_id, handler, queue_name) select recipe_id, 2, 'S2', 'h', 'intentQ' from app.recipes where name = 'kept'$$]) as statement;
select is(app_test.everything(), hash, 'nothing was written') from before;
select is(app.activate_recipe('draft', 2), '{"name": "draft", "version": 2}'::jsonb, 'its status may change');
select is(app_test.status_of(app_test.a_run('g', 'kept')), 'ENQUEUED', 'and it can be run');
rollback;
