-- New, replayed and doubled starts in one call: a header each, in the order given.
begin;
select plan(5);

select app_test.a_recipe() as r \gset
select app_test.a_run('b') as b \gset
select app.start_runs(jsonb_build_array(
  '{"intent": {"goal": "a", "inputs": {}, "constraints": {}}, "recipeName": "test"}'::jsonb,
  jsonb_build_object('intentId', :'b', 'recipeName', 'test'),
  '{"intent": {"goal": "c", "inputs": {}, "constraints": {}, "connectors": null}, "recipeName": "test", "lane": "batch"}'::jsonb,
  '{"intent": {"goal": "c", "inputs": {}, "constraints": {}}, "recipeName": "test", "lane": "batch"}'::jsonb)) as started \gset
select is((select jsonb_agg(s ->> 'workflowID') from jsonb_array_elements(:'started'::jsonb) as s),
  jsonb_build_array(app_test.an_intent('a'), :'b', app_test.an_intent('c'), app_test.an_intent('c')), 'the ids in order');
select is((select jsonb_agg(s -> 'isReplay') from jsonb_array_elements(:'started'::jsonb) as s), '[false, true, false, true]', 'the second of a pair is a replay');
select is((select count(*) from app.runs)::integer, 3, 'three runs');
select is(app.start_runs('[]'), '[]'::jsonb, 'none is none');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
