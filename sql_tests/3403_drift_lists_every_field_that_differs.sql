-- Not only the first one; an argument that is left out means its default, except where the default changes with time.
begin;
select plan(10);

select app_test.a_recipe('other') as r \gset
select app_test.a_recipe() as r \gset
select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('C'))) as r \gset
select '{"recipeName": "test", "recipeVersion": 2, "queuePartitionKey": "p", "lane": "batch", "priority": 7, "workload": {"tasks": 1}, "budget": {"tasks": 5}, "timeoutMS": 60000,
  "traceId": "0123456789abcdef0123456789abcdef", "tenantId": "t", "appVersion": "9", "ocMode": "record", "sbxMode": "live"}' as stored \gset
select app_test.a_run('drift', :'stored') as run \gset
select app_test.footprint() as before \gset

select is((select jsonb_agg(d ->> 'field' order by d ->> 'field') from jsonb_array_elements(app_test.error_of(format('select app.start_run(%L, %L)', :'run',
  :'stored'::jsonb || '{"lane": "interactive", "priority": 1, "tenantId": null, "sbxMode": "mock"}')) -> 'drift') as d), '["lane", "priority", "sbxMode", "tenantId"]', 'four at once');
select is(app.start_run(:'run', :'stored'::jsonb - '{recipeVersion,traceId,appVersion,ocMode,sbxMode}'::text[]) ->> 'isReplay', 'true', 'left out: whatever the run has');
select is(app_test.error_of(format('select app.start_run(%L, %L)', :'run', :'stored'::jsonb - field)) #>> '{drift,0,field}', field, field || ' left out is its default, which differs')
from unnest('{queuePartitionKey,workload,budget,timeoutMS,tenantId,priority}'::text[]) as field;
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
