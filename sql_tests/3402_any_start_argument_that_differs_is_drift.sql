-- PT409 with drift: [{field, existing, incoming}] for each of the thirteen arguments; nothing is written.
begin;
select plan(16);

select app_test.a_recipe('other') as r \gset
select app_test.a_recipe() as r \gset
select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('C'))) as r \gset
select '{"recipeName": "test", "recipeVersion": 2, "queuePartitionKey": "p", "lane": "batch", "priority": 7, "workload": {"tasks": 1}, "budget": {"tasks": 5}, "timeoutMS": 60000,
  "traceId": "0123456789abcdef0123456789abcdef", "tenantId": "t", "appVersion": "9", "ocMode": "record", "sbxMode": "live"}' as stored \gset
select app_test.a_run('drift', :'stored') as run \gset
select app_test.footprint() as before \gset

select is(
  app_test.error_of(format('select app.start_run(%L, %L)', :'run', :'stored'::jsonb || jsonb_build_object(field, incoming))) - 'message',
  jsonb_build_object('sqlstate', 'PT409', 'code', 'drift',
    'drift', jsonb_build_array(jsonb_build_object('field', field, 'existing', :'stored'::jsonb -> field, 'incoming', incoming))), field)
from (values ('recipeVersion', '1'::jsonb), ('queuePartitionKey', '"q"'), ('lane', '"interactive"'), ('priority', '8'), ('workload', '{"tasks": 2}'),
  ('budget', '{"tasks": 6}'), ('timeoutMS', '60001'), ('traceId', '"1123456789abcdef0123456789abcdef"'), ('tenantId', '"u"'), ('appVersion', '"8"'),
  ('ocMode', '"replay"'), ('sbxMode', '"mock"')) as v (field, incoming);
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run', :'stored'::jsonb - 'recipeVersion' || '{"recipeName": "other"}')) #> '{drift,0}',
  '{"field": "recipeName", "existing": "test", "incoming": "other"}', 'recipeName');
select is(app.start_run(:'run', :'stored'::jsonb) ->> 'isReplay', 'true', 'the stored arguments are a replay');
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
