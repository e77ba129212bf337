-- intentId is ih_ and the sha256 of the canonical JSON of the intent (contract vector).
begin;
select plan(5);

select is(app.create_intent('{"goal":"Hello bob","inputs":{"n":3},"constraints":{"stepLibrary":{"primitives":["Collect","Fetch","Extract","Normalize","Decide","Act","Report","Legacy"]}}}') ->> 'intentId',
  'ih_17e8647fcabb1957b67f173a68148d8f7ee5acf029d791d4560b812ddeb9a0cd', 'the vector');
select is(app.create_intent('{"constraints":{}, "inputs":{"b":1.0,"a":[1e2]},  "goal":"x"}') ->> 'intentId',
  app.create_intent('{"goal":"x","inputs":{"a":[100],"b":1},"constraints":{}}') ->> 'intentId', 'order, white space and the spelling of numbers do not count');
select isnt(app_test.an_intent('x', '{"a": "1"}'), app_test.an_intent('x', '{"a": 1}'), 'a text is not a number');
select is((select count(*) from app.intents)::integer, 4, 'one row per content');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
