-- Versions are written once, for every writer; the same content is a replay.
begin;
select plan(13);

create temp table r as select '{"name": "r", "steps": [{"stepId": "A", "handler": "h"}]}'::jsonb as one,
  '{"name": "r", "steps": [{"stepId": "A", "handler": "h2"}]}'::jsonb as two;
select is(app.put_recipe(one), '{"name": "r", "version": 1, "status": "draft", "isReplay": false}'::jsonb, 'the first version is 1, a draft') from r;
create temp table before as select app_test.everything() as hash;
select is(app.put_recipe(one) -> 'isReplay', 'true'::jsonb, 'the same content is a replay') from r;
select is(app.put_recipe(one || '{"version": 1}') -> 'isReplay', 'true'::jsonb, 'also under its number') from r;
select is(app_test.everything(), hash, 'and writes nothing') from before;
select is(app_test.error_of(format('select app.put_recipe(%L)', two || '{"version": 1}')) - 'message' - 'hint',
  jsonb_build_object('sqlstate', 'PT409', 'code', 'recipe_drift', 'drift', jsonb_build_array(jsonb_build_object('field', 'recipe', 'existing', one, 'incoming', two))),
  'another content under a number that exists is drift') from r;
select is(app_test.everything(), hash, 'and writes nothing') from before;
select is(app.put_recipe(two) ->> 'version', '2', 'without a number it is the next version') from r;
select is(app.put_recipe(one) ->> 'version', '3', 'also when an older version had this content') from r;
select is(app.put_recipe(one || '{"version": 9}') ->> 'version', '9', 'a number may be chosen') from r;
select is(app_test.error_of(statement) ->> 'code', 'recipe_is_immutable', statement)
from (values ('update app.recipes set body = ''{}'' where name = ''r'''), ('update app.recipes set version = 77 where name = ''r'' and version = 1'),
  ('update app.recipes set settings = ''{"a": 1}'' where name = ''r''')) as s (statement);
select is((select array_agg(s.idx || ' ' || s.step_id || ' ' || s.handler || ' ' || s.queue_name) from app.recipe_steps as s join app.recipes as p using (recipe_id)
  where p.name = 'r' and p.version = 2), array['0 A h2 intentQ'], 'the steps are rows, with their defaults');
rollback;
