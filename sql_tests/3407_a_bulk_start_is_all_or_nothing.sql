-- start_runs: intents by id or by content, headers in order, duplicates are replays.
begin;
select plan(11);

select app_test.a_recipe() \g /dev/null
create temp table answer as select app.start_runs(jsonb_build_array(
  '{"intent": {"goal": "a", "inputs": {}, "constraints": {}}, "recipeName": "plain"}'::jsonb,
  jsonb_build_object('intentId', app_test.an_intent('b'), 'recipeName', 'plain', 'lane', 'batch'),
  '{"intent": {"goal": "a", "inputs": {}, "constraints": {}}, "recipeName": "plain"}'::jsonb)) as a;
select is((select array_agg(h ->> 'workflowID') from answer, jsonb_array_elements(a) as h),
  array[app_test.an_intent('a'), app_test.an_intent('b'), app_test.an_intent('a')], 'headers in order');
select is(jsonb_path_query_array(a, '$[*].isReplay'), '[false, false, true]'::jsonb, 'the same run twice: the second is a replay') from answer;
select is(a #>> '{1,priority}', '1000', 'batch goes behind interactive') from answer;
select is(app.start_runs('[]'), '[]'::jsonb, 'none is fine');
create temp table before as select app_test.everything() as hash;
select is(app_test.error_of($$select app.start_runs('[{"intent": {"goal": "c", "inputs": {}, "constraints": {}}, "recipeName": "plain"},
  {"intent": {"goal": "d", "inputs": {}, "constraints": {}}, "recipeName": "nobody"}]')$$) ->> 'code', 'recipe_not_found', 'one bad run');
select is(app_test.everything(), hash, 'refuses all, and writes nothing') from before;
select is(app_test.error_of($$select app.start_runs('[{"intent": {"goal": "e", "inputs": {}, "constraints": {}}, "recipeName": "plain"},
  {"intent": {"goal": "e", "inputs": {}, "constraints": {}}, "recipeName": "plain", "priority": 3}]')$$) #>> '{drift,0,field}', 'priority', 'two starts of one run that differ are drift');
select is(app_test.error_of(format('select app.start_runs(%L)', jsonb_build_array(jsonb_build_object('intentId', 'ih_' || repeat('a', 64), 'intent', null, 'recipeName', 'plain')))) ->> 'code',
  'intent_not_found', 'an intent that is null is none');
select is(app.start_runs('[{"intentId": null, "intent": {"goal": "a", "inputs": {}, "constraints": {}}, "recipeName": "plain"}]') #>> '{0,isReplay}', 'true', 'nor is an id that is null an id');
select is((select count(*) from app.run_steps where queue_seq is not null), 2::bigint, 'two steps in line');
select is_empty('select * from app.v_invariants');
rollback;
