-- workflowID is the intent id; the second start answers with the same run and writes nothing.
begin;
select plan(7);

select app_test.a_recipe() as r \gset
select app_test.an_intent() as intent \gset
select is(app.start_run(:'intent', '{"recipeName":"test"}') @> jsonb_build_object('workflowID', :'intent', 'isReplay', false, 'status', 'ENQUEUED'), true, 'the first start');
select app_test.footprint() as before \gset
select is(app.start_run(:'intent', '{"recipeName":"test"}') @> jsonb_build_object('workflowID', :'intent', 'isReplay', true, 'status', 'ENQUEUED'), true, 'the second');
select is(app.start_run(:'intent', '{"recipeName":"test","lane":"interactive","priority":1,"recipeVersion":1,"tenantId":null}') ->> 'isReplay', 'true', 'defaults spelled out are the same start');
select is(app_test.footprint(), :'before', 'a replay writes nothing');
select app_test.finish(:'intent') as f \gset
select is(app.start_run(:'intent', '{"recipeName":"test"}') @> '{"isReplay": true, "status": "SUCCESS"}', true, 'long after, too');
select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('Z'))) as r \gset
select is(app.start_run(:'intent', '{"recipeName":"test"}') @> '{"isReplay": true, "recipe": {"version": 1}}', true, 'a newer active version does not make it drift');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
