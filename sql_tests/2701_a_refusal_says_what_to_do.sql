-- The lattice: SQLSTATE, lower case message, DETAIL with code and details, HINT with the next action.
begin;
select plan(7);

create temp table e as select app_test.error_of($$select app.create_intent('{"goal": 1, "inputs": {}, "extra": true}')$$) as error;
select is(error ->> 'sqlstate', 'PT400', 'the class') from e;
select is(error ->> 'code', 'schema_violation', 'the code') from e;
select is(error -> 'details', '[{"path": "constraints", "message": "is required"}, {"path": "extra", "message": "is unknown"},
  {"path": "goal", "message": "must be a string"}]'::jsonb, 'every fault, not the first') from e;
select matches(error ->> 'message', '^[a-z]', 'the message is lower case') from e;
select isnt(error ->> 'hint', '', 'the hint is the next action') from e;
select is(app_test.error_of($$select app.get_run('nobody')$$) - 'message' - 'hint', '{"sqlstate": "PT404", "code": "run_not_found"}'::jsonb, 'not found has a code of its own');
select matches(app_test.error_of($$select app.start_run(app_test.an_intent(), '{"recipeName": "missing"}')$$) ->> 'hint', 'put_recipe', 'a missing recipe is to be put');
rollback;
