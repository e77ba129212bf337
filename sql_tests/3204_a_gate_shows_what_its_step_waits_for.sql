-- A gate shows only steps that its own step needs, directly or through others: what it shows stands still while it is open.
begin;
select plan(11);

create function pg_temp.faults(steps jsonb) returns text language sql as $$
  select app_test.faults_of(format('select app.put_recipe(%L)', jsonb_build_object('name', 'r', 'steps', (
    select jsonb_agg('{"handler": "h"}' || s.value order by s.ordinality) from jsonb_array_elements(steps) with ordinality as s)))) $$;
create temp table free as select '[{"stepId": "A"}, {"stepId": "B", "needs": []}, {"stepId": "C", "needs": ["A"], "gate": {"key": "approve-plan", "shows": ["B"]}}]'::jsonb as steps;

select is(pg_temp.faults(steps), 'steps[2].gate.shows[0]', 'a step beside it is refused') from free;
select matches(e #>> '{details,0,message}', '^must name a step that C needs, directly or through others: B may end', 'and the message says why')
  from free, app_test.error_of(format('select app.put_recipe(%L)', jsonb_build_object('name', 'r', 'steps', (select jsonb_agg('{"handler": "h"}' || s) from jsonb_array_elements(steps) as s)))) as e;
select is(pg_temp.faults(jsonb_set(steps, '{2,needs}', '["A", "B"]')), 'not refused', 'needed directly') from free;
select is(pg_temp.faults(jsonb_set(steps, '{0,needs}', '[]')), 'steps[2].gate.shows[0]', 'A needs nothing') from free;
select is(pg_temp.faults('[{"stepId": "A"}, {"stepId": "B"}, {"stepId": "C", "gate": {"key": "g", "shows": ["A", "B"]}}]'), 'not refused', 'in a chain each step needs all before it');
select is(pg_temp.faults('[{"stepId": "A"}, {"stepId": "B", "needs": ["A"]}, {"stepId": "C", "needs": []}, {"stepId": "D", "needs": ["B"]}, {"stepId": "E", "gates": [{"key": "g"}, {"key": "h", "shows": ["A", "B", "C", "D"]}]}]'),
  'steps[4].gates[1].shows[2]', 'needed through others, but for one, in a list of gates');
select is(pg_temp.faults('[{"stepId": "A"}, {"stepId": "B", "needs": [], "gate": {"key": "g", "shows": ["A", "B", "X", 5]}}]'),
  'steps[1].gate.shows[0], steps[1].gate.shows[1], steps[1].gate.shows[2], steps[1].gate.shows[3], steps[1].gate.shows[3]', 'what is no earlier step at all is told as before');
select is(pg_temp.faults('[{"stepId": "A", "needs": ["B", 3, null]}, {"needs": 5, "gate": {"key": "g", "shows": ["A"]}}]'),
  'steps[0].needs[0], steps[0].needs[1], steps[0].needs[1], steps[0].needs[2], steps[0].needs[2], steps[1].needs, steps[1].stepId', 'faulty needs are told, and nothing falls over them');
select is(pg_temp.faults((select jsonb_agg(jsonb_build_object('stepId', 'S' || n, 'gate', jsonb_build_object('key', 'g' || n, 'shows', case when n > 0 then jsonb_build_array('S0') else '[]' end)) order by n)
  from generate_series(0, 999) as n)), 'not refused', 'a thousand steps');
select is(pg_temp.faults((select jsonb_agg(jsonb_build_object('stepId', 'S' || n) order by n) from generate_series(0, 1000) as n) || '{"stepId": "G", "gate": {"key": "g", "shows": ["S0"]}}'), 'steps', 'more are refused, as they are');
select is_empty('select * from app.v_invariants');
rollback;
