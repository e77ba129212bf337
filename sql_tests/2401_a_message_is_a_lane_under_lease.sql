-- A message exists as long as somebody holds a step: not in line, not at a gate, not while tasks run; it is never visible before its time.
begin;
select plan(12);

select is(array(select queue_name::text from pgmq.meta order by 1), array['controlQ', 'intentQ', 'sbxQ'], 'each queue has its pgmq queue');
select lives_ok('select app.ensure_queues()', 'making them again changes nothing');

select app_test.the_four_steps(), app_test.a_run('g', 'four') as run_id \gset
select is_empty('select * from app.leases()', 'a run in line has no message');
create temp table lane as select * from app_test.work_once();
select is((select to_jsonb(l) - array['expires_at', 'granted_at'] from app.leases() as l),
  (select jsonb_build_object('queue_name', 'intentQ', 'msg_id', msg_id, 'read_ct', read_ct, 'run_id', run_id, 'task_key', '', 'partition_key', '', 'worker', 'w1') from lane), 'a step that is held has one, with the token, its partition and its worker');
select is((select expires_at > clock_timestamp() + interval '25 seconds' from app.leases()), true, 'it is invisible for as long as the lease lasts');
create temp table next as select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane))) as w;
select is((select array_agg(msg_id) from app.leases()), (select array_agg(msg_id) from lane), 'the next step of the lane keeps the message');
select is((select outcome || ' ' || step_id from next), 'continued ApplyPatchST', 'and the worker');
select w.* from next, app.work('w1', jsonb_build_array(app_test.done(next))) as w \g /dev/null
select is_empty('select * from app.leases()', 'a run at a gate has none');
select app.approve_plan(:'run_id', 'ann'), app_test.finish_step(), app_test.finish_step('{"tasks": [1, 2]}') \g /dev/null
select is_empty('select * from app.leases()', 'a step that waits for its tasks has none');
select is((select count(*) from app_test.work_once('w1', 'sbxQ', 2)), 2::bigint, 'its tasks are claimed');
select set_eq('select queue_name, task_key from app.leases()', $$select 'sbxQ', task_key from app.run_steps where task_key <> ''$$, 'each task that is held has one, on its own queue');
select is_empty('select * from app.v_invariants');
rollback;
