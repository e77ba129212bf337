-- Ordinary starts are let in by a glance. Whatever it passes has no fault when it is looked at rule by rule, and the ordinary passes.
begin;
select plan(7);

select app_test.a_recipe(), app_test.the_four_steps() \g /dev/null
select app_test.a_run('seed') as run_id \gset
create temp table value as
select v.value from unnest(array['null', '""', '" "', '"x"', '"interactive"', '"batch"', '0', '1', '-1', '1.5', '1e3', '1000000', '1000001', 'true', '[]', '{}',
  '{"steps": 1}', '"00000000000000000000000000000000"', '"0123456789abcdef0123456789abcdef"', to_json('ih_' || repeat('0', 64))::text, to_json('ih_' || repeat('0', 63))::text,
  to_json(repeat('x', 129))::text, to_json(repeat('x', 257))::text, '"record"',
  '{"goal": "g", "inputs": {}, "constraints": {}}', '{"goal": " ", "inputs": {}, "constraints": {}}', '{"goal": "g", "inputs": [], "constraints": {}}',
  '{"goal": "g", "inputs": {}}', '{"goal": 1, "inputs": {}, "constraints": {}}', '{"goal": "g", "inputs": {}, "constraints": {}, "connectors": []}',
  '{"goal": "g", "inputs": {}, "constraints": {}, "more": 1}', '"g"']::jsonb[]) as v (value);
create temp table start as
select jsonb_build_object('intentId', 'ih_' || repeat('a', 64), a.path, v.value) as run
from (select a.path from app.v_arguments as a where a.shape = 'start_run' union all select 'unknown') as a, value as v
union all select jsonb_build_object('intent', v.value, a.path, w.value) from value as v, (select a.path from app.v_arguments as a where a.shape = 'start_run') as a, value as w
union all select v.value from value as v;
create temp table judged as
select s.run, app.are_plain(jsonb_build_array(s.run)) as passes,
  exists (select from app.option_faults(jsonb_build_array(s.run), 'runs[]'))
    or jsonb_typeof(s.run) <> 'object' or (nullif(s.run -> 'intentId', 'null') is null) = (nullif(s.run -> 'intent', 'null') is null)
    or exists (select from app.faults('create_intent', jsonb_build_array(s.run -> 'intent'), 'intent') where jsonb_typeof(s.run -> 'intent') = 'object') as is_faulty
from start as s;
select is_empty('select run from judged where passes and is_faulty', 'nothing faulty passes');
select is_empty('select run from judged where passes is null', 'a glance always has an answer');
select is((select count(*) > 50 from judged where passes), true, 'the ordinary passes');
select is(app.are_plain('{}') or app.are_plain('5') or coalesce(app.are_plain(null), false), false, 'what is no array does not');

-- with a policy against it
create temp table asked as
select jsonb_build_array(jsonb_build_object('intentId', i.id, 'recipeName', r.name) || o.options) as runs
from (values (:'run_id'), ('ih_' || repeat('a', 64))) as i (id), (values ('four'), ('plain'), ('none')) as r (name),
  (values ('{}'::jsonb), ('{"queuePartitionKey": "p"}'), ('{"queuePartitionKey": " "}'), ('{"budget": {"steps": 1}}'), ('{"startedBy": "me"}')) as o (options);
select is_empty($$select runs from asked where app.are_welcome(array(select q from app.start_requests(runs) as q)) and exists (select from app.start_faults(array(select q from app.start_requests(runs) as q), 'runs[]'))$$, 'nothing unwelcome passes');
update app.queues set partitioned = true where queue_name = 'intentQ';
select is((select array_agg(distinct runs #>> '{0,queuePartitionKey}') from asked where app.are_welcome(array(select q from app.start_requests(runs) as q))), array['p'], 'nor does a missing partition key, once it is wanted');
select is_empty('select * from app.v_invariants');
rollback;
