-- One bad start among many: an error with its place, and nothing of the call is written.
begin;
select plan(9);

select app_test.a_recipe() as r \gset
select app_test.a_run('there') as there \gset
select app_test.footprint() as before \gset
select '{"intent": {"goal": "good", "inputs": {}, "constraints": {}}, "recipeName": "test"}' as good \gset
select is(app_test.refusal(format('select app.start_runs(%L)', jsonb_build_array(:'good'::jsonb, bad))), want, want || ' ' || left(bad::text, 60))
from (values
  ('{"intent": {"goal": "x", "inputs": {}, "constraints": {}}, "recipeName": "test", "lane": "fast"}'::jsonb, 'PT400 schema_violation'),
  ('{"intent": {"goal": "x", "inputs": {}, "constraints": {}}, "recipeName": "test", "budget": {"steps": 0}}', 'PT400 budget_violation'),
  ('{"intentId": "ih_0000000000000000000000000000000000000000000000000000000000000000", "recipeName": "test"}', 'PT404 intent_not_found'),
  ('{"intent": {"goal": "x", "inputs": {}, "constraints": {}}, "recipeName": "nobody"}', 'PT404 recipe_not_found')) as v (bad, want);
select is(app_test.refusal(format('select app.start_runs(%L)', jsonb_build_array(:'good'::jsonb, jsonb_build_object('intentId', :'there', 'recipeName', 'test', 'priority', 5)))), 'PT409 drift', 'drift');
select is(app_test.faulty_fields($$select app.start_runs('[{"intent": {"goal": 1, "inputs": {}, "constraints": {}}, "recipeName": "test"}, 7, {"recipeName": "test"},
  {"intentId": "x", "intent": {}, "recipeName": "test", "budget": {"colour": 1}}]')$$),
  'runs[0].intent.goal, runs[1], runs[2].intentId, runs[3].budget.colour, runs[3].intent.constraints, runs[3].intent.goal, runs[3].intent.inputs, runs[3].intentId', 'each fault with its place');
select is(app_test.faulty_fields('select app.start_runs(null)'), 'runs', 'no array');
select is(app_test.footprint(), :'before', 'nothing was written, no intent either');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
