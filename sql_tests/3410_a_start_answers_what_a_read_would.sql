-- The header that a start returns is the one that get_run gives, however the run begins; the order is that of the call.
begin;
select plan(6);

select app_test.a_recipe(), app_test.a_recipe('gated', '[{"gate": {"key": "first"}}, {}]'), app_test.a_recipe('sleepy', '[{"sleep": {"ms": 1000}}, {}]'),
  app_test.a_recipe('graph', '[{}, {"needs": []}]') \g /dev/null
create temp table a as select * from unnest(array['plain', 'gated', 'sleepy', 'graph', 'plain']) with ordinality as r (recipe, n);
create temp table h as
select e.value as header, e.ordinality as n from jsonb_array_elements(app.start_runs((
  select jsonb_agg(jsonb_build_object('recipeName', a.recipe, 'intent', jsonb_build_object('goal', 'mixed ' || a.n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) order by a.n)
  from a))) with ordinality as e
union all
select e.value, 100 + e.ordinality from jsonb_array_elements(app.start_runs((
  select jsonb_agg(jsonb_build_object('recipeName', 'plain', 'lane', case n % 2 when 0 then 'batch' else 'interactive' end, 'queuePartitionKey', 'p' || n,
    'intent', jsonb_build_object('goal', 'plain ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) order by n) from generate_series(1, 20) as n))) with ordinality as e
union all
select app.start_run(app_test.an_intent('alone'), '{"recipeName": "plain"}'), 200;
select is((select array_agg(header ->> 'workflowName' order by n) from h where n < 100), array['plain', 'gated', 'sleepy', 'graph', 'plain'], 'in the order of the call');
select is((select array_agg(header ->> 'queuePartitionKey' order by n) from h where n between 100 and 199), array(select 'p' || n from generate_series(1, 20) as n), 'also when all are ordinary');
select is_empty($$select header from h where header - 'isReplay' <> app.get_run(header ->> 'workflowID')$$, 'each is what get_run gives');
select is_empty($$select header from h where header -> 'isReplay' <> 'false'$$, 'none is a replay');
select is((select array_agg(s.status || ' ' || s.attempt order by 1) from app.run_steps as s join app.runs as r using (run_id) where s.partition_key <> '' and s.queue_seq = r.queue_seq),
  array_fill('ENQUEUED 1'::text, array[20]), 'their first steps stand in line, at the place of the run');
select is_empty('select * from app.v_invariants');
rollback;
