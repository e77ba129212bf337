-- Every fault at any depth, each with its path.
begin;
select plan(10);

select app_test.footprint() as before \gset
select is(app_test.faulty_fields($$select app.put_recipe('{"name": "r", "version": 0, "queue": "noQ", "colour": 1, "steps": [
    {"stepId": "A", "handler": "h", "queue": "nope", "retry": {"maxAttempts": 0, "backoff": {"factor": "x"}, "retryableCodes": [1]}},
    {"stepId": "A", "gate": {"kind": "maybe"}, "fanOut": {"queue": "sbxQ"}, "timeoutMS": -1}]}')$$),
  'colour, queue, steps[0].queue, steps[0].retry.backoff.factor, steps[0].retry.maxAttempts, steps[0].retry.retryableCodes, steps[0].stepId, '
  'steps[1].fanOut.handler, steps[1].gate.key, steps[1].gate.kind, steps[1].handler, steps[1].timeoutMS, version', 'all of them');
select is(app_test.faulty_fields($$select app.put_recipe('{}')$$), 'name, steps', 'an empty object');
select is(app_test.faulty_fields($$select app.put_recipe('{"name": "r", "steps": []}')$$), 'steps', 'a recipe without steps');
select is(app_test.faulty_fields($$select app.put_recipe('{"name": "r", "steps": [7, {"stepId": "A", "handler": "h"}]}')$$), 'steps[0]', 'a step that is no object');
select is(app_test.faulty_fields($$select app.put_recipe('{"name": "r", "steps": [
    {"stepId": "A", "handler": "h", "gate": {"key": "k"}}, {"stepId": "B", "handler": "h", "gate": {"key": "k"}}]}')$$), 'steps[0].gate.key', 'a gate key twice');
select is(app_test.refusal(format('select app.put_recipe(%L)', bad)), 'PT400 schema_violation', 'refused: ' || coalesce(bad, 'null'))
from unnest(array['[]', 'null', null]) as bad;
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
