-- inputSchema and a gate's schema: JSON Schemas of type object, kept as they are, and told to whoever draws a form.
begin;
select plan(6);
select app_test.a_recipe('r', '[{}, {"gate": {"key": "a", "kind": "input", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
  {"gates": [{"key": "b", "schema": {"type": "object"}}, {"key": "c"}]}]', '{"inputSchema": {"type": "object", "required": ["item"], "x-own": [1]}}') \g /dev/null
select is(app.page_recipe('r') -> 'inputSchema', '{"type": "object", "required": ["item"], "x-own": [1]}', 'a schema is open: what it holds is its own');
create temp table run as select app_test.a_run('goal', 'r') as run_id;
select is(app.page_run(run_id) -> 'gateSchemas', '{"a": {"type": "object", "properties": {"n": {"type": "integer"}}}, "b": {"type": "object"}}', 'gates have theirs, by key') from run;
create temp table other as select app_test.a_run('other') as run_id;
select is(app.page_run(run_id) -> 'gateSchemas', '{}', 'or none') from other;
select is(app.page_recipe('plain') -> 'inputSchema', 'null', 'a recipe without one');
select is((select array_agg(f ->> 'path' order by f ->> 'path') from jsonb_array_elements(app_test.error_of($$select app.put_recipe('{"name": "x", "inputSchema": {"type": "array"},
  "steps": [{"stepId": "A", "handler": "t/a", "gate": {"key": "g", "schema": {}}}, {"stepId": "B", "handler": "t/b", "gates": [{"key": "h", "schema": 1}]}]}')$$) -> 'details') as f),
  array['inputSchema.type', 'steps[0].gate.schema.type', 'steps[1].gates[0].schema'], 'anything but an object is a fault');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
