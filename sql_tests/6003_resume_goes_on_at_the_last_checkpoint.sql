-- Resume: the same run goes on where it stopped. Finished steps stay, the unfinished one gets a new attempt, at the old place in line.
begin;
select plan(44);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.idx || '.' || s.attempt || ' ' || s.status, ', ' order by s.idx, s.task_key <> '', s.attempt, s.status) from app.run_steps as s where s.run_id = $1 $$;
create function pg_temp.stop(run_id text) returns void language sql as $$ select app.cancel_run(run_id, 'ann', 'wait'); select null $$;
create function pg_temp.resume(run_id text) returns text language sql as $$ select app.resume_run(run_id, 'ann', 'go on') ->> 'status' $$;

-- in line
select app_test.a_run('first', options => '{"queuePartitionKey": "p", "priority": 5, "timeoutMS": 60000}') as first,
  app_test.a_run('other', options => '{"queuePartitionKey": "p", "priority": 5}') as other \gset
select app_test.finish_step() \g /dev/null
create temp table was as select * from app.runs where run_id = :'first';
select pg_temp.stop(:'first'), app.advance('30 seconds') \g /dev/null
select is(pg_temp.resume(:'first'), 'ENQUEUED', 'resumed');
select is(pg_temp.steps(:'first'), '0.1 SUCCESS, 1.1 CANCELLED, 1.2 ENQUEUED', 'the finished step stays, the cancelled one gets a new attempt');
select is((select (to_jsonb(r) - array['status', 'updated_at', 'reopened_at', 'ended_at']) from app.runs as r where run_id = :'first'),
  (select to_jsonb(w) - array['status', 'updated_at', 'reopened_at', 'ended_at'] from was as w), 'same id, queue, partition, place in line, and first claim');
select is((select row(ended_at, error, reopened_at = updated_at)::text from app.runs where run_id = :'first'), '(,,t)', 'no end and no error');
select is((select array_agg(row(partition_key, priority, queue_name, queue_seq = (select queue_seq from was))::text) from app.run_steps where run_id = :'first' and status = 'ENQUEUED'),
  array['(p,5,intentQ,t)'], 'so has its attempt');
select is((select fire_at > app.now() + interval '50 seconds' from app.timers where run_id = :'first' and closed_at is null), true, 'the timeout starts anew');
select is((select run_id from app_test.work_once()), :'first', 'it is before those that came later');
select is(app_test.status_of(:'first'), 'PENDING', 'it works');
select is(app_test.error_of(format('select app.resume_run(%L, ''ann'', ''go on'')', :'first')) ->> 'status', 'PENDING', 'a run under way is not resumed');

-- nothing to do
select is(pg_temp.resume(app_test.a_run('waits in line')), 'ENQUEUED', 'a run in line is left there');
select is(pg_temp.steps(app_test.a_run('waits in line')), '0.1 ENQUEUED', 'with its attempt');

-- the step in flight
select app_test.a_run('in flight') as flight \gset
create temp table lane as select w.* from app_test.work_once(n => 9) as w;
select pg_temp.stop(:'flight') \g /dev/null
select is(pg_temp.resume(:'flight'), 'PENDING', 'a step still in flight goes on');
select is(pg_temp.steps(:'flight'), '0.1 PENDING', 'as the same attempt');
select is_empty($$select h.* from lane, app.heartbeat('w1', jsonb_build_array(app_test.lease(lane))) as h$$, 'nobody is told to stop any more');
select is((select w.step_id from lane, app.work('w1', jsonb_build_array(app_test.done(lane))) as w where lane.run_id = :'flight'), 'S1', 'and its run goes on');

-- the step in flight commits after the cancel
select app_test.a_run('commits') as commits \gset
create temp table late as select w.* from app_test.work_once(n => 99) as w;
select pg_temp.stop(:'commits') \g /dev/null
select w.* from late, app.work('w1', jsonb_build_array(app_test.done(late))) as w where late.run_id = :'commits' \g /dev/null
select is(pg_temp.resume(:'commits') || ' ' || pg_temp.steps(:'commits'), 'ENQUEUED 0.1 SUCCESS, 1.1 ENQUEUED', 'a step that committed meanwhile is not run again, the next one is in line');

-- the last step commits after the cancel
select app_test.a_recipe('one', '[{}]'), app_test.a_run('last', 'one', '{"timeoutMS": 60000}') as last \gset
create temp table last_lane as select w.* from app_test.work_once(n => 99) as w where w.run_id = :'last';
select pg_temp.stop(:'last') \g /dev/null
select w.* from last_lane, app.work('w1', jsonb_build_array(app_test.done(last_lane))) as w \g /dev/null
select is(app_test.status_of(:'last'), 'CANCELLED', 'a run whose last step commits after the cancel is CANCELLED');
select is(pg_temp.resume(:'last'), 'SUCCESS', 'resumed, it has nothing left to do');
select is_empty(format('select * from app.timers where run_id = %L and fired_at is null and closed_at is null', :'last'), 'and no timer');

-- at the gate
select app_test.a_run_at('approve-plan') as gated \gset
create temp table gate_was as select started_at from app.runs where run_id = :'gated';
select pg_temp.stop(:'gated') \g /dev/null
select is(pg_temp.resume(:'gated'), 'WAITING_INPUT', 'a run that stopped at its gate is asked again');
select is((select row(status, round, closed_at, answered_at)::text from app.gates where run_id = :'gated'), '(OPEN,2,,)', 'the gate is open');
select is((select r.started_at from app.runs as r where r.run_id = :'gated'), started_at, 'the first claim is not forgotten') from gate_was;
select is(app.approve_plan(:'gated', 'ann') -> 'isReplay', 'false'::jsonb, 'the answer is taken');
select is(pg_temp.steps(:'gated'), '0.1 SUCCESS, 1.1 SUCCESS, 2.1 ENQUEUED', 'and the run goes on');
select pg_temp.stop(:'gated'), pg_temp.resume(:'gated') \g /dev/null
select is(pg_temp.steps(:'gated') || ' ' || app_test.status_of(:'gated'), '0.1 SUCCESS, 1.1 SUCCESS, 2.1 CANCELLED, 2.2 ENQUEUED ENQUEUED', 'a gate that was passed is not asked again');
select app_test.a_recipe('asks-first', '[{"gate": {"key": "ask"}}]'), app_test.a_run('asks first', 'asks-first') as asks \gset
select pg_temp.stop(:'asks') \g /dev/null
select is(pg_temp.resume(:'asks'), 'WAITING_INPUT', 'also a gate before the first step');
select app.reply_gate(:'asks', 'ask', '{"decision": "yes"}', '1', 'me') where app_test.status_of(:'asks') = 'WAITING_INPUT' \g /dev/null
select is(pg_temp.steps(:'asks'), '0.1 ENQUEUED', 'and its answer starts it');

-- a fan-out: one task done, one in flight, one in line
update app.run_steps set priority = 900 where status = 'ENQUEUED';
select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task"}}]'), app_test.a_run('fan', 'fan', '{"priority": 0}') as fan \gset
select app_test.finish_step('{"tasks": ["a", "b", "c"]}'), app_test.finish_step('{"receipt": true, "output": 1}', 'sbxQ') \g /dev/null
create temp table task as select * from app_test.work_once(queue => 'sbxQ');
select pg_temp.stop(:'fan') \g /dev/null
select is(pg_temp.resume(:'fan') || ' ' || pg_temp.steps(:'fan'), 'ENQUEUED 0.1 CANCELLED, 0.2 ENQUEUED, 0.1 CANCELLED, 0.1 PENDING, 0.1 SUCCESS', 'the step makes its tasks again');
create temp table fan_lane as select * from app_test.work_once();
select is((select context -> 'task' from fan_lane), 'null'::jsonb, 'the step is no task');
select fan_lane.*, w.* from fan_lane, app.work('w1', jsonb_build_array(app_test.done(fan_lane, '{"tasks": ["a", "b", "c"]}'))) as w \g /dev/null
select is(pg_temp.steps(:'fan'), '0.1 CANCELLED, 0.2 PENDING, 0.1 CANCELLED, 0.1 PENDING, 0.1 SUCCESS, 0.2 ENQUEUED', 'only the cancelled task gets a new attempt');
select is((select tasks_open from app.run_steps where run_id = :'fan' and task_key = '' and attempt = 2), 2, 'two are awaited');
select is_empty('select * from app.v_invariants', 'healthy while it waits');
select w.* from task, app_test.report(app_test.done(task, '{"receipt": true, "output": 2}')) as w \g /dev/null
select app_test.finish_step('{"receipt": true, "output": 3}', 'sbxQ') \g /dev/null
select is(app_test.status_of(:'fan'), 'SUCCESS', 'the run succeeds');
select is((select array_agg(seen_count) from app.mock_receipts where run_id = :'fan'), array[1, 1, 1], 'each task succeeded exactly once');
select is((select jsonb_agg(t -> 'output' order by t -> 'output') from app.run_steps, jsonb_path_query(output, '$.tasks[*]') as t where run_id = :'fan' and task_key = '' and attempt = 2), '[1, 2, 3]'::jsonb, 'and all outputs are there');

-- the step that makes the tasks is in flight at the cancel
select app_test.a_run('makes', 'fan', '{"priority": 0}') as makes \gset
create temp table maker as select * from app_test.work_once();
select pg_temp.stop(:'makes') \g /dev/null
select w.* from maker, app.work('w1', jsonb_build_array(app_test.done(maker, '{"tasks": ["a", "b"]}'))) as w \g /dev/null
select is(pg_temp.resume(:'makes'), 'ENQUEUED', 'tasks that were made too late are made again');
select app_test.finish_step('{"tasks": ["a", "b"]}') where app_test.status_of(:'makes') = 'ENQUEUED' \g /dev/null
select is((select count(*) from app_test.work_once(queue => 'sbxQ', n => 9) as w where w.run_id = :'makes'), 2::bigint, 'and executed');

-- an earlier attempt's task that the new attempt does not want
select app_test.a_run('other tasks', 'fan', '{"priority": 0}') as others \gset
select app_test.finish_step('{"tasks": ["old"]}') \g /dev/null
create temp table old as select * from app_test.work_once(queue => 'sbxQ');
select pg_temp.stop(:'others'), pg_temp.resume(:'others'), app_test.finish_step('{"tasks": ["new"]}') \g /dev/null
select is_empty('select * from app.v_invariants', 'a task that is no longer wanted breaks no law');
select w.* from old, app_test.report(app_test.done(old)) as w \g /dev/null
select is(app_test.status_of(:'others') || (select tasks_open from app.run_steps where run_id = :'others' and task_key = '' and attempt = 2), 'PENDING1', 'and is not counted for the new one');
select pg_temp.stop(:'others'), pg_temp.resume(:'others') \g /dev/null
create temp table third as select * from app_test.work_once();
select is((select row(attempt, context -> 'task')::text from third), '(3,null)', 'a third attempt is not handed the tasks of the second as its own');
select w.* from third, app_test.report(app_test.done(third, '{"tasks": ["new"]}')) as w \g /dev/null
select app_test.finish_step('{}', 'sbxQ') \g /dev/null
select is(app_test.status_of(:'others'), 'SUCCESS', 'which ends the step');

-- an earlier attempt's task that loses its worker, or fails, once it is no longer wanted
select app_test.a_recipe('again', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task", "retry": {"maxAttempts": 5, "backoff": {"initialMS": 0}, "retryableCodes": ["infra"]}}}]'),
  app_test.a_run('unwanted', 'again', '{"priority": 0}') as unwanted \gset
select app_test.finish_step('{"tasks": ["old", "older"]}') \g /dev/null
create temp table unwanted as select * from app_test.work_once(queue => 'sbxQ', n => 2);
select pg_temp.stop(:'unwanted'), pg_temp.resume(:'unwanted'), app_test.finish_step('{"tasks": ["new"]}') \g /dev/null
select w.* from unwanted, app_test.report(app_test.failed(unwanted, 'infra')) as w where unwanted.context ->> 'task' = 'old' \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is((select count(*) from app.run_steps where run_id = :'unwanted' and status = 'ENQUEUED'), 1::bigint, 'a task that is no longer wanted is not tried again');
create temp table wanted as select * from app_test.work_once(queue => 'sbxQ', n => 9);
select app.release('w1', jsonb_build_array(app_test.lease(wanted))) from wanted where wanted.context ->> 'task' <> 'new' \g /dev/null
select w.* from wanted, app_test.report(app_test.done(wanted)) as w where wanted.context ->> 'task' = 'new' \g /dev/null
select is(app_test.status_of(:'unwanted'), 'SUCCESS', 'it delays nothing, and is not left in line');
select is_empty('select * from app.v_invariants');
rollback;
