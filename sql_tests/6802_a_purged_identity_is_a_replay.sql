-- A purged identity never runs again: the same start is a replay, another one is drift, alone, in bulk, asleep, by a recipe that is retired.
begin;
select plan(19);

select app_test.a_run('old', options => '{"lane": "batch", "queuePartitionKey": "acme", "tenantId": "t1", "budget": {"steps": 9, "tasks": null}}') as old \gset
select app.cancel_run(:'old', 'ann', 'x') \g /dev/null
select app.sleep_run('nap', 1000) \g /dev/null
select app.cancel_run('nap', 'ann', 'x') \g /dev/null
select app.advance('1 day') \g /dev/null
select app.purge_runs('1 hour', 'ann', 'x') ->> 'purged' as purged \gset
select is(:'purged'::text, '2', 'both are gone');
create temp table before as select app_test.row_counts() as counts;

select '{"recipeName": "plain", "lane": "batch", "queuePartitionKey": "acme", "tenantId": "t1", "budget": {"steps": 9, "tasks": null}}' as same \gset
select is(a - array['purgedAt', 'isReplay'], app.get_run(:'old') - 'purgedAt', 'the start answers with the last header') from app.start_run(:'old', :'same') as a;
select is((app.start_run(:'old', :'same') -> 'isReplay')::text || ' ' || (app.start_run(:'old', :'same') ? 'purgedAt')::text, 'true true', 'as a replay of what was purged');
create temp table other (more jsonb, fields text);
insert into other values ('{"lane": "interactive"}', 'lane, priority'), ('{"priority": 5}', 'priority'), ('{"queuePartitionKey": "b"}', 'queuePartitionKey'), ('{"tenantId": null}', 'tenantId'),
  ('{"budget": {"steps": 8}}', 'budget'), ('{"timeoutMS": 5000}', 'timeoutMS'), ('{"ocMode": "live"}', 'ocMode'), ('{"traceId": "00000000000000000000000000000001"}', 'traceId');
select is(e ->> 'sqlstate' || ' ' || (select string_agg(d ->> 'field', ', ') from jsonb_array_elements(e -> 'drift') as d), 'PT409 ' || fields, 'another is drift: ' || fields)
from other cross join lateral app_test.error_of(format('select app.start_run(%L, %L)', :'old', :'same'::jsonb || more)) as e;
select is(app_test.row_counts(), counts, 'nothing was written') from before;

-- in bulk, between others, twice
create temp table bulk as select app.start_runs(jsonb_build_array(
  '{"recipeName": "plain", "intent": {"goal": "new", "inputs": {}, "constraints": {}}}'::jsonb, :'same'::jsonb || jsonb_build_object('intentId', :'old'),
  '{"recipeName": "plain", "intent": {"goal": "newer", "inputs": {}, "constraints": {}}}'::jsonb, :'same'::jsonb || jsonb_build_object('intentId', :'old'))) as answer;
select is((select string_agg((r -> 'isReplay')::text || (r ? 'purgedAt')::text, ' ') from bulk, jsonb_array_elements(answer) as r), 'falsefalse truetrue falsefalse truetrue', 'in bulk each at its place');
select is((select count(*) from app.runs), 2::bigint, 'only the new ones run');
select is(app_test.error_of(format('select app.start_runs(%L)', jsonb_build_array('{"recipeName": "plain", "intent": {"goal": "newest", "inputs": {}, "constraints": {}}}'::jsonb,
  jsonb_build_object('intentId', :'old', 'recipeName', 'plain')))) ->> 'code', 'drift', 'all or nothing');

-- its recipe is retired: still a replay
select app_test.a_recipe('plain', '[{}, {}, {}]') \g /dev/null
select is(app.start_run(:'old', :'same'::jsonb || '{"recipeVersion": 1}') -> 'isReplay', 'true', 'by a recipe that is not active any more');
select is((app.sleep_run('nap', 1000) -> 'isReplay')::text || ' ' || (app.sleep_run('nap', 1000) ? 'wakeAt')::text, 'true true', 'a sleep, too');
select is(app_test.error_of('select app.sleep_run(''nap'', 2000)') ->> 'code', 'drift', 'of the same duration');
select is_empty('select * from app.v_invariants');
rollback;
