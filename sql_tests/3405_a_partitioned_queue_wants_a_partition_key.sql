-- A missing or blank queuePartitionKey is PT400 queue_policy_violation on a partitioned queue, also when only a later step goes there.
begin;
select plan(13);

select app_test.a_recipe(), app_test.the_four_steps() \g /dev/null
create temp table i as select app_test.an_intent() as id;
create function pg_temp.code(options text, recipe text default 'plain') returns text language sql as
  $$ select e ->> 'code' from i, app_test.error_of(format('select app.start_run(%L, %L)', i.id, jsonb_build_object('recipeName', recipe) || options::jsonb)) as e $$;
select app.set_queue_partitioning(true) \g /dev/null
create temp table before as select app_test.everything() as hash;

select is(pg_temp.code('{}'), 'queue_policy_violation', 'missing');
select is(pg_temp.code('{"queuePartitionKey": null}'), 'queue_policy_violation', 'null');
select is(pg_temp.code('{"queuePartitionKey": ""}'), 'queue_policy_violation', 'empty');
select is(pg_temp.code(E'{"queuePartitionKey": " \\t"}'), 'queue_policy_violation', 'blank');
select is(app_test.faults_of(format('select app.start_run(%L, ''{"recipeName": "plain"}'')', id)), 'queuePartitionKey', 'the field is named') from i;
select is(app_test.faults_of(format('select app.start_runs(%L)', jsonb_build_array(jsonb_build_object('intentId', id, 'recipeName', 'plain', 'queuePartitionKey', 'p'),
  jsonb_build_object('intentId', id, 'recipeName', 'plain')))), 'runs[1].queuePartitionKey', 'in a bulk with its place') from i;
select is(app_test.everything(), hash, 'nothing is written') from before;
select is(pg_temp.code('{"queuePartitionKey": "p"}'), null, 'with a key it starts');

update app.queues set partitioned = false where queue_name = 'intentQ';
update i set id = app_test.an_intent('another');
select is(pg_temp.code('{}', 'four'), 'queue_policy_violation', 'sbxQ alone is partitioned: a recipe that fans out there wants a key');
select is(pg_temp.code('{}'), null, 'another recipe does not');
select app.set_queue_partitioning(false) \g /dev/null
select is((select bool_or(partitioned) from app.queues), false, 'the law can be lifted');
select is(app.start_run(app_test.an_intent('2'), '{"recipeName": "four"}') -> 'isReplay', 'false'::jsonb, 'then no key is needed');
select is_empty('select * from app.v_invariants');
rollback;
