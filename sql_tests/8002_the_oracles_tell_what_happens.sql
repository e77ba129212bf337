-- Timeline, queue depth, gates and workers of a run in the middle.
begin;
select plan(13);

select app_test.a_run_at('approve-plan', 'timeline') as run_id \gset
select is((select array_agg(step_id || ' ' || status || ' ' || artifacts order by idx, started_at) from app.v_run_timeline where run_id = :'run_id'),
  array['CompileST SUCCESS 1', 'ApplyPatchST SUCCESS 1', 'gate approve-plan OPEN 0'], 'the timeline has attempts and gates');
select ok(bool_and(duration_ms >= 0 and coalesce(waited_ms, 0) >= 0), 'with their durations') from app.v_run_timeline;
select lives_ok(answer_with, 'the call that answers a gate does') from app.v_gates_open;
select is(app_test.status_of(:'run_id'), 'PENDING', 'it is answered');
select app_test.a_recipe('ask', '[{"gate": {"key": "tell", "kind": "input"}}, {"gate": {"key": "sign"}}]'), app_test.a_run('ask', 'ask') as asking \gset
select lives_ok(answer_with, 'an input gate too') from app.v_gates_open;
select app_test.finish_step(), app_test.finish_step(), app_test.finish_step() \g /dev/null
select lives_ok(answer_with, 'and an approval of another name') from app.v_gates_open;
select is((select status from app.run_steps where run_id = :'asking' and idx = 1), 'ENQUEUED', 'they let the run go on');

select app_test.a_recipe(), app_test.a_run('p', options => '{"queuePartitionKey": "p"}'), app_test.a_run('q', options => '{"queuePartitionKey": "q"}') \g /dev/null
select app_test.work_once('w1', n => 2) \g /dev/null
select app_test.a_run('p2', options => '{"queuePartitionKey": "p"}'), app.advance('90 seconds'), app_test.age_leases('1 minute') \g /dev/null
select is((select sum(enqueued) || ' ' || sum(pending) || ' ' || sum(expired) from app.v_ops_queue_depth where queue_name = 'intentQ'), '2 2 2', 'waiting, leased, expired');
select ok(oldest_age_s between 89 and 95, 'the age of the oldest is in seconds of the engine''s clock') from app.v_ops_queue_depth where partition_key = 'p';
select is((select enqueued from app.v_ops_queue_depth where queue_name = 'controlQ'), 0::bigint, 'an empty queue is there too');
select is(leases, 2::bigint, 'the worker holds them') from app.v_ops_workers where worker = 'w1';
select is((select row(status, steps)::text from app.v_recipes where name = 'plain'), row('active', array['S0', 'S1'])::text, 'recipes with the names of their steps');
select is_empty('select * from app.v_invariants');
rollback;
