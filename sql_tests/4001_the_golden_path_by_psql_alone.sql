-- start → lanes → gate → approve → fan-out → join → SUCCESS, through app.work.
begin;
select plan(27);

select app_test.the_four_steps(), app_test.a_worker() \g /dev/null
select app_test.a_run('golden', 'four') as run_id \gset
create temp table lane as select * from app_test.work_once();
select is(row(outcome, run_id, step_id, idx, task_key, attempt, queue_name, read_ct, handler, reason)::text,
  row('assigned', :'run_id', 'CompileST', 0, '', 1, 'intentQ', 0, 't/CompileST', null)::text, 'the first step is assigned') from lane;
select is(context - 'traceId', format('{"intent": {"goal": "golden", "inputs": {}, "constraints": {}}, "recipe": {"name": "four", "version": 1, "settings": {}},
  "outputs": {}, "gates": {}, "task": null, "ocMode": "replay", "sbxMode": "mock", "queuePartitionKey": null}')::jsonb, 'with its context') from lane;
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run is PENDING');

create temp table next as select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane, '{"output": {"plan": 1}}'))) as w;
select is(outcome || step_id || attempt, 'continuedApplyPatchST1', 'the commit of a step gives the next one of the lane') from next;
select is(row(next.msg_id, next.read_ct, next.queue_name)::text, row(lane.msg_id, lane.read_ct, lane.queue_name)::text, 'under the same lease') from lane, next;
select is(context, null, 'without a context: the lane has it') from next;
select is_empty($$select w.* from next, app.work('w1', jsonb_build_array(app_test.done(next))) as w$$, 'the lane is over at the gate');
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'the run waits');
select is_empty('select * from app.leases()', 'and holds no slot');
select is_empty($$select * from app_test.work_once()$$, 'nothing to claim');

select is(app.approve_plan(:'run_id', 'ann', 'fine') - 'approvedAt', jsonb_build_object('accepted', true, 'workflowID', :'run_id', 'isReplay', false), 'approved');
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');
create temp table decide as select * from app_test.work_once();
select is(step_id, 'DecideST', 'with the step behind the gate') from decide;
select is(context -> 'outputs', '{"CompileST": {"plan": 1}, "ApplyPatchST": null}'::jsonb, 'which sees the outputs so far') from decide;
select is(context #>> '{gates,approve-plan,approvedBy}', 'ann', 'and the answer') from decide;

create temp table execute as select w.* from decide, app.work('w1', jsonb_build_array(app_test.done(decide))) as w;
select is(step_id, 'ExecuteST', 'then the last step') from execute;
select is_empty($$select w.* from execute, app.work('w1', jsonb_build_array(app_test.done(execute, '{"output": "made", "tasks": [{"cmd": "a"}, {"cmd": "b"}]}'))) as w$$, 'which fans out');
create temp table task as select * from app_test.work_once(queue => 'sbxQ', n => 5);
select is((select array_agg(step_id || (context #>> '{task,cmd}') || handler || queue_name order by context ->> 'task') from task),
  array['ExecuteSTat/tasksbxQ', 'ExecuteSTbt/tasksbxQ'], 'tasks on their own queue');
select is((select array_agg(task_key order by task_key) from task), (select array_agg(k order by k collate "C") from jsonb_array_elements('[{"cmd": "a"}, {"cmd": "b"}]') as t, app.task_key(:'run_id', 'ExecuteST', t) as k), 'with their keys');
select is((select tasks_open from app.run_steps where idx = 3 and task_key = ''), 2, 'the step waits for both');
select is_empty($$select * from app.work('w1', (select jsonb_agg(app_test.done(task, '{"receipt": true, "output": 0}')) from task))$$, 'both tasks commit in one call');

select is(app_test.status_of(:'run_id'), 'SUCCESS', 'the run is over');
select is((select array_agg(step_id || status || attempt order by idx, task_idx nulls first) from app.run_steps),
  array['CompileSTSUCCESS1', 'ApplyPatchSTSUCCESS1', 'DecideSTSUCCESS1', 'ExecuteSTSUCCESS1', 'ExecuteSTSUCCESS1', 'ExecuteSTSUCCESS1'], 'each step and task once');
select is((select array_agg(seen_count) from app.mock_receipts), array[1, 1], 'a receipt per task');
select is(jsonb_array_length(output -> 'tasks'), 2, 'the output of the step holds its tasks') from app.run_steps where idx = 3 and task_key = '';
select is_empty('select * from app.leases()', 'no message is left');
select is_empty('select * from app.v_invariants');
rollback;
