-- Exactly what HTTP promises is there, with epoch milliseconds and nulls where there is nothing.
begin;
select plan(7);

select app_test.a_recipe() as r \gset
select (extract(epoch from app.now()) * 1000)::bigint as before \gset
select app_test.a_run('test', '{"queuePartitionKey": "k", "traceId": "0123456789abcdef0123456789abcdef"}') as run \gset
select app.get_run(:'run') as header \gset
select is(array['workflowID', 'status', 'workflowName', 'recipe', 'queueName', 'queuePartitionKey', 'createdAt', 'updatedAt', 'nextAction', 'lastStep', 'error',
  'traceId', 'traceUrl', 'appVersion', 'ocMode', 'sbxMode', 'forkedFrom', 'stale'] <@ array(select jsonb_object_keys(:'header'::jsonb)), true, 'every field');
select is(:'header'::jsonb @> jsonb_build_object('workflowID', :'run', 'status', 'ENQUEUED', 'workflowName', 'test', 'recipe', '{"name": "test", "version": 1}'::jsonb,
  'queueName', 'intentQ', 'queuePartitionKey', 'k', 'nextAction', null, 'lastStep', null, 'error', null, 'traceId', '0123456789abcdef0123456789abcdef', 'forkedFrom', null,
  'appVersion', app.setting('app_version'), 'ocMode', 'replay', 'sbxMode', 'mock'), true, 'with these values');
select is((:'header'::jsonb ->> 'createdAt')::bigint between :before and :before + 60000, true, 'createdAt is epoch ms');
select is(:'header'::jsonb -> 'stale', 'true'::jsonb, 'no worker of its version: stale');
select app_test.a_worker() as w \gset
select is(app.get_run(:'run') -> 'stale', 'false'::jsonb, 'with one it is not');
select matches(app.start_run(app_test.an_intent('x'), '{"recipeName": "test"}') ->> 'traceId', '^[0-9a-f]{32}$', 'a trace id is made where none is given');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
