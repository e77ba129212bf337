-- Missing, null or blank is PT400 queue_policy_violation and writes nothing; an open queue takes any.
begin;
select plan(9);

select app_test.a_recipe() as r \gset
select app_test.an_intent() as intent \gset
select app.set_queue_partitioning(true);
select app_test.footprint() as before \gset
select is(app_test.refusal(format('select app.start_run(%L, %L)', :'intent', '{"recipeName": "test"}'::jsonb || more)), 'PT400 queue_policy_violation', 'refused: ' || more::text)
from unnest(array['{}', '{"queuePartitionKey": null}', '{"queuePartitionKey": ""}', '{"queuePartitionKey": " \t "}']::jsonb[]) as more;
select is(app_test.faulty_fields(format($$select app.start_run(%L, '{"recipeName": "test"}')$$, :'intent')), 'queuePartitionKey', 'the field is named');
select is(app_test.footprint(), :'before', 'nothing was written');
select is(app.start_run(:'intent', '{"recipeName": "test", "queuePartitionKey": "ui-default"}') ->> 'queuePartitionKey', 'ui-default', 'with a key it starts');
select app.set_queue_partitioning(false);
select lives_ok($$select app_test.a_run('another')$$, 'an open queue asks for none');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
