-- Every start argument that differs from the stored one is PT409 with {field, existing, incoming}, and nothing is written.
begin;
select plan(29);

select app_test.a_recipe(), app_test.a_recipe('other') \g /dev/null
select app_test.a_recipe('plain', '[{}, {}, {}]') \g /dev/null
select app_test.a_run(options => '{"recipeVersion": 2, "queuePartitionKey": "p", "lane": "batch", "priority": 7, "workload": {"steps": 3}, "budget": {"steps": 4},
  "timeoutMS": 60000, "traceId": "0123456789abcdef0123456789abcdef", "tenantId": "t", "appVersion": "2", "ocMode": "replay", "sbxMode": "mock"}') as run_id \gset
create temp table same as select '{"recipeName": "plain", "recipeVersion": 2, "queuePartitionKey": "p", "lane": "batch", "priority": 7, "workload": {"steps": 3},
  "budget": {"steps": 4}, "timeoutMS": 60000, "tenantId": "t"}'::jsonb as o;
select app_test.an_intent('new') \g /dev/null
create temp table before as select app_test.everything() as hash;

create temp table other (field text, existing jsonb, incoming jsonb, more jsonb);
insert into other (field, existing, incoming) values
  ('recipeVersion', '2', '1'), ('queuePartitionKey', '"p"', '"q"'), ('lane', '"batch"', '"interactive"'), ('priority', '7', '8'),
  ('workload', '{"steps": 3}', '{"steps": 2}'), ('budget', '{"steps": 4}', '{"steps": 5}'), ('timeoutMS', '60000', '60001'),
  ('traceId', '"0123456789abcdef0123456789abcdef"', '"ffffffffffffffffffffffffffffffff"'), ('tenantId', '"t"', '"u"'), ('appVersion', '"2"', '"3"'),
  ('ocMode', '"replay"', '"live"'), ('sbxMode', '"mock"', '"live"');
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run_id', o || jsonb_build_object(field, incoming))) - 'message' - 'hint',
  jsonb_build_object('sqlstate', 'PT409', 'code', 'drift',
    'drift', jsonb_build_array(jsonb_build_object('field', field, 'existing', existing, 'incoming', incoming))), field || ' differs')
from same, other;

-- left out, these mean their defaults
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run_id', o - field)) -> 'drift' -> 0 ->> 'field', field, field || ' left out')
from same, unnest(array['queuePartitionKey', 'lane', 'priority', 'workload', 'budget', 'timeoutMS', 'tenantId']) as field;
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run_id', o || '{"recipeName": "other", "recipeVersion": 1}')) -> 'drift',
  '[{"field": "recipeName", "existing": "plain", "incoming": "other"}, {"field": "recipeVersion", "existing": 2, "incoming": 1}]'::jsonb, 'another recipe') from same;
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run_id', o || '{"lane": "interactive", "tenantId": null}')) -> 'drift',
  '[{"field": "lane", "existing": "batch", "incoming": "interactive"}, {"field": "tenantId", "existing": "t", "incoming": null}]'::jsonb, 'every difference is listed') from same;
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run_id', o - 'recipeVersion' || '{"recipeName": "other"}')) #>> '{drift,0,field}', 'recipeName', 'without a version too') from same;
select is(app_test.error_of(format('select app.start_runs(%L)', jsonb_build_array(
    jsonb_build_object('intentId', app_test.an_intent('new'), 'recipeName', 'plain'), o || jsonb_build_object('intentId', :'run_id', 'priority', 9)))) #>> '{drift,0,field}',
  'priority', 'one drift refuses a whole bulk') from same;
select is((select count(*) from app.runs), 1::bigint, 'nothing of it is written');
select lives_ok(format('select app.start_run(%L, %L)', :'run_id', o), 'the stored arguments are still a replay') from same;
select is(app_test.everything(), hash, 'nothing was written') from before;

-- a run that is over is the same run
select app_test.work_once(want => '{"appVersion": "2"}') \g /dev/null
select lives_ok(format('select app.start_run(%L, %L)', :'run_id', o), 'a run under way replays') from same;
select is(app.start_run(:'run_id', o) ->> 'status', 'PENDING', 'and shows where it is') from same;
select is_empty('select * from app.v_invariants');
rollback;
