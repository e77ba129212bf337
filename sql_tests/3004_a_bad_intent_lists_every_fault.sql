-- PT400 schema_violation names every faulty field, not the first; nothing is written.
begin;
select plan(12);

select app_test.footprint() as before \gset
select is(app_test.faulty_fields($$select app.create_intent('{"goal": 7, "inputs": [], "constraints": null, "connectors": "x", "colour": "red"}')$$),
  'colour, connectors, constraints, goal, inputs', 'wrong types, missing and unknown fields, all in one answer');
select is(app_test.faulty_fields($$select app.create_intent('{}')$$), 'constraints, goal, inputs', 'an empty object');
select is(app_test.faulty_fields($$select app.create_intent('{"goal": "  ", "inputs": {}, "constraints": {}}')$$), 'goal', 'a blank goal');
select is(app_test.refusal(format('select app.create_intent(%L)', bad)), 'PT400 schema_violation', 'refused: ' || coalesce(bad, 'null'))
from unnest(array['[]', '"x"', '3', 'null', null]) as bad;
select matches(app_test.error_of($$select app.create_intent('{}')$$) ->> 'message', 'goal', 'the message names the field for people');
select is(app_test.refusal($$select app.create_intent('{"goal":"g","inputs":{"n":1e400},"constraints":{}}')$$), 'PT400 schema_violation', 'a number that is no double');
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
