-- run_id = intent_id. A start repeated with the same arguments answers with the run and writes nothing.
begin;
select plan(12);

select app_test.a_recipe() \g /dev/null
create temp table i as select app_test.an_intent() as id;
create temp table options as select '{"recipeName": "plain", "recipeVersion": 1, "queuePartitionKey": "p", "lane": "batch", "priority": 7, "workload": {"steps": 2},
  "budget": {"steps": 3}, "timeoutMS": 60000, "traceId": "0123456789abcdef0123456789abcdef", "tenantId": "t", "appVersion": "2", "ocMode": "live", "sbxMode": "live"}'::jsonb as o;
create temp table first as select app.start_run(i.id, options.o) as h from i, options;
select is(h -> 'isReplay', 'false'::jsonb, 'the first start is new') from first;
select is(h ->> 'workflowID', i.id, 'the run has the id of its intent') from first, i;
select is(h ->> 'status', 'ENQUEUED', 'it stands in line') from first;
create temp table before as select app_test.everything() as hash;
select is(app.start_run(i.id, options.o), first.h || '{"isReplay": true}', 'the second answer is the same header, a replay') from i, options, first;
select is(app.start_run(i.id, options.o - 'traceId' - 'recipeVersion' - 'appVersion' - 'ocMode' - 'sbxMode') -> 'isReplay', 'true'::jsonb,
  'what the run pinned need not be repeated') from i, options;
select is(app_test.everything(), hash, 'nothing is written') from before;
select is(app.start_run(app_test.an_intent('2'), '{"recipeName": "plain"}') -> 'isReplay', 'false'::jsonb, 'defaults start');
select is(app.start_run(app_test.an_intent('2'), '{"recipeName": "plain", "lane": "interactive", "priority": 1, "queuePartitionKey": "", "workload": null}') -> 'isReplay', 'true'::jsonb,
  'an argument that was left out is its default');
select is((select count(*) from app.run_steps), 2::bigint, 'each run has one step in line');
select is((select array_agg(kind) from app.timers), array['run_timeout'], 'and its timeout, if it has one');
select is(app_test.status_of(id), 'ENQUEUED', 'the run is what it was') from i;
select is_empty('select * from app.v_invariants');
rollback;
