-- gate_exhibits: the artifacts of the steps that a gate shows, latest attempts, with their text.
begin;
select plan(6);
select app_test.a_recipe('shown', '[{"stepId": "A"}, {"stepId": "B"}, {"stepId": "C", "gate": {"key": "g", "shows": ["A"]}}]') \g /dev/null
create temp table run as select app_test.a_run('show me', 'shown') as id;
select app_test.finish_step(jsonb_build_object('artifacts', jsonb_build_array(
  '{"kind": "plan_card", "name": "plan.json", "inline": {"goal": "x"}}'::jsonb,
  jsonb_build_object('kind', 'patch', 'name', 'a.patch', 'mediaType', 'text/x-diff', 'body', encode('+ä', 'base64')),
  '{"kind": "file", "name": "a.png", "mediaType": "image/png", "body": "iVBORw0K"}'::jsonb,
  jsonb_build_object('kind', 'stdout', 'name', 'long.txt', 'mediaType', 'text/plain', 'body', replace(encode(convert_to(repeat('x', 200001), 'UTF8'), 'base64'), E'\n', ''))))) \g /dev/null
select app_test.finish_step('{"artifacts": [{"kind": "decision", "name": "other.json", "inline": {}}]}') \g /dev/null
select results_eq('select e.name, e.step_id from run, app.gate_exhibits(run.id, ''g'') as e',
  $$values ('plan.json', 'A'), ('a.patch', 'A'), ('a.png', 'A'), ('long.txt', 'A')$$, 'what its steps left, and nothing else');
select is((select e.body from run, app.gate_exhibits(run.id, 'g') as e where e.name = 'plan.json')::jsonb, '{"goal": "x"}', 'JSON as text');
select is((select e.body from run, app.gate_exhibits(run.id, 'g') as e where e.name = 'a.patch'), '+ä', 'text as text');
select is((select count(*)::integer from run, app.gate_exhibits(run.id, 'g') as e where e.body is null), 2, 'an image has none, nor what is too long');
select is(app_test.error_of('select * from app.gate_exhibits(''nope'', ''g'')') ->> 'code', 'run_not_found', 'PT404 for an unknown run');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
