-- Fan-out and join: the step stays PENDING without a lease until the last task is final, then the run goes on.
begin;
select plan(18);

select app_test.a_recipe('r', '[{"stepId": "FanST", "fanOut": {"queue": "sbxQ", "handler": "t/task", "timeoutMS": 5000}}, {"stepId": "LastST"}]'),
  app_test.a_run('g', 'r', '{"queuePartitionKey": "p", "priority": 5}') as run_id \gset
create temp table lane as select * from app_test.work_once();
select is_empty($$select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane, '{"output": {"made": 3}, "artifacts": [{"kind": "decision", "name": "d", "inline": 1}], "tasks": [{"n": 0}, {"n": 1}, {"n": 0}, {"n": 2}]}'))) as w$$, 'the lane is over');
select is(row(status, tasks_open, msg_id, output)::text, row('PENDING', 3, null, '{"made": 3}')::text, 'the step waits for three tasks: the same task twice is one') from app.run_steps where task_key = '';
select is_empty('select * from app.leases()', 'without a lease');
select is_empty('select * from app.v_invariants', 'healthy while it waits');
create temp table task as select * from app_test.work_once(queue => 'sbxQ', n => 9);
select is((select array_agg(context #>> '{task,n}' order by context ->> 'task') from task), array['0', '1', '2'], 'each task is a lane of its own');
select is((select array_agg(distinct row(handler, timeout_ms, queue_name, context ->> 'queuePartitionKey')::text) from task), array[row('t/task', 5000, 'sbxQ', 'p')::text], 'with the fan-out''s handler and timeout and the run''s partition');
select app_test.report(app_test.done(task, '{"output": "a", "receipt": true}')) from task where context #>> '{task,n}' = '0' \g /dev/null
select is(tasks_open, 2, 'one is counted off') from app.run_steps where task_key = '';
select is_empty($$select * from app_test.work_once()$$, 'the next step waits');
select app.work('w1', jsonb_build_array(app_test.done(task, '{"output": "b", "receipt": true}'))) from task where context #>> '{task,n}' = '1' \g /dev/null
select app.work('w1', jsonb_build_array(app_test.done(task, '{"output": "c", "receipt": true}'))) from task where context #>> '{task,n}' = '2' \g /dev/null
select is(row(status, tasks_open)::text, row('SUCCESS', 0)::text, 'the last task ends the step') from app.run_steps where idx = 0 and task_key = '';
select is((select jsonb_agg(t -> 'output' order by n) from app.run_steps, jsonb_array_elements(output -> 'tasks') with ordinality as t (t, n) where idx = 0 and task_key = ''), '["a", "b", "c"]'::jsonb, 'its output holds those of the tasks, in order');
select is(output -> 'output', '{"made": 3}'::jsonb, 'and its own') from app.run_steps where idx = 0 and task_key = '';
select is((select context #> '{outputs,FanST,output}' from app_test.work_once()), '{"made": 3}'::jsonb, 'the next step sees it');
select is((select array_agg(seen_count) from app.mock_receipts), array[1, 1, 1], 'one receipt per task');
select is((select array_agg(s ->> 'taskKey' order by n) from jsonb_array_elements(app.get_steps(:'run_id')) with ordinality as e (s, n)),
  array[null, app.task_key(:'run_id', 'FanST', '{"n": 0}'), app.task_key(:'run_id', 'FanST', '{"n": 1}'), app.task_key(:'run_id', 'FanST', '{"n": 2}'), null], 'steps list their tasks below them');
select is((select count(*) from app.artifacts where kind = 'none'), 3::bigint, 'a task that produced nothing leaves none');
select is((select array_agg(kind) from app.artifacts where step_idx = 0 and task_key = ''), array['decision'], 'the step has its own artifacts');
select is((select array_agg(distinct priority) from app.run_steps), array[5], 'tasks have the priority of the run');
select is_empty('select * from app.v_invariants');
rollback;
