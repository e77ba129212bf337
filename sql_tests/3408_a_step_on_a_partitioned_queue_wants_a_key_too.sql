-- A run whose fan-out goes to a partitioned queue is refused at the start, not in the middle.
begin;
select plan(4);

update app.queues set partitioned = true where queue_name = 'sbxQ';
select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('A', '{"fanOut": {"queue": "sbxQ", "handler": "test/task"}}'))) as r \gset
select is(app_test.refusal($$select app_test.a_run()$$), 'PT400 queue_policy_violation', 'fan-out');
select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('A', '{"queue": "sbxQ"}'))) as r \gset
select is(app_test.refusal($$select app_test.a_run()$$), 'PT400 queue_policy_violation', 'a step');
select lives_ok($$select app_test.a_run('test', '{"queuePartitionKey": "k"}')$$, 'with a key it starts');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
