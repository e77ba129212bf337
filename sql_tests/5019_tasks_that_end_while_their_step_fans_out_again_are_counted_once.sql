-- After a resume a step fans out again while tasks of its earlier attempt are still under way. What they report in the very call that brings the tasks counts once.
begin;
select plan(13);

create function pg_temp.tasks(run_id text) returns text language sql as $$
  select string_agg(coalesce(s.input ->> 'n', 'step') || '.' || s.attempt || ' ' || s.status || coalesce(' ' || nullif(s.tasks_open, 0), ''), ', ' order by s.task_key <> '', s.task_idx, s.attempt)
  from app.run_steps as s where s.run_id = $1 and s.step_id = 'FanST' $$;
-- A run whose two tasks are under way, cancelled and resumed, its step claimed again; the lanes are in pg_temp.lane: n 0 is the step.
create temp table lane (run_id text, n integer, lane app.assignment);
create function pg_temp.a_resumed_run(goal text, retry jsonb default '{}') returns text language plpgsql as $$
declare
  id text := app_test.a_run(goal, app_test.a_recipe(goal, jsonb_build_array(
    jsonb_build_object('stepId', 'FanST', 'fanOut', jsonb_build_object('queue', 'sbxQ', 'handler', 't/task', 'retry', retry)))));
begin
  perform app_test.finish_step('{"tasks": [{"n": 1}, {"n": 2}]}');
  insert into lane select id, (w.context -> 'task' ->> 'n')::integer, w from app_test.work_once(queue => 'sbxQ', n => 2) as w;
  perform app.advance('1 second');
  perform app.cancel_run(id, 'ann', 'wait'), app.resume_run(id, 'ann', 'go on');
  perform app.advance('1 second');
  insert into lane select id, 0, w from app_test.work_once() as w;
  return id;
end $$;
create function pg_temp.lane(run_id text, n integer) returns app.assignment language sql as $$ select l.lane from lane as l where l.run_id = $1 and l.n = $2 $$;
-- The step brings its tasks again, in one call with the result of the first task.
create function pg_temp.in_one_call(run_id text, result jsonb) returns void language sql as $$
  select app.work('w1', jsonb_build_array(result, app_test.done(pg_temp.lane(run_id, 0), '{"tasks": [{"n": 1}, {"n": 2}]}')));
  select null $$;

select pg_temp.a_resumed_run('succeeds') as well \gset
select pg_temp.in_one_call(:'well', app_test.done(pg_temp.lane(:'well', 1))) \g /dev/null
select is(pg_temp.tasks(:'well'), 'step.1 CANCELLED, step.2 PENDING 1, 1.1 SUCCESS, 2.1 PENDING', 'a task that succeeded is not waited for');
select is(app_test.status_of(:'well'), 'PENDING', 'the other one is');
select is_empty('select * from app.v_invariants', 'the step waits for exactly its open tasks');
select app_test.report(app_test.done(pg_temp.lane(:'well', 2))) \g /dev/null
select is(app_test.status_of(:'well'), 'SUCCESS', 'with it the run is over');

select pg_temp.a_resumed_run('fails') as ill \gset
select pg_temp.in_one_call(:'ill', app_test.failed(pg_temp.lane(:'ill', 1), 'broken', '{"retryable": false}')) \g /dev/null
select is(pg_temp.tasks(:'ill'), 'step.1 CANCELLED, step.2 PENDING 2, 1.1 ERROR, 1.2 ENQUEUED, 2.1 PENDING', 'a task that failed before its step asked for it again is tried again');
select app_test.report(app_test.done(pg_temp.lane(:'ill', 2))) \g /dev/null
select is(app_test.status_of(:'ill'), 'PENDING', 'the step waits for it');
select app_test.finish_step(queue => 'sbxQ') \g /dev/null
select is(app_test.status_of(:'ill'), 'SUCCESS', 'with it the run is over');

select pg_temp.a_resumed_run('retries', '{"maxAttempts": 3, "backoff": {"initialMS": 1000, "jitter": 0}}') as again \gset
select pg_temp.in_one_call(:'again', app_test.failed(pg_temp.lane(:'again', 1), 'flaky', '{"retryable": true}')) \g /dev/null
select is(pg_temp.tasks(:'again'), 'step.1 CANCELLED, step.2 PENDING 2, 1.1 ERROR, 1.2 ENQUEUED, 2.1 PENDING', 'so is one that would have been retried later');
select app.advance('1 minute'), app_test.recover() \g /dev/null
select is(pg_temp.tasks(:'again'), 'step.1 CANCELLED, step.2 PENDING 2, 1.1 ERROR, 1.2 ENQUEUED, 2.1 PENDING', 'once');
select is_empty('select * from app.v_invariants', 'every law is kept meanwhile');
select app_test.report(app_test.done(pg_temp.lane(:'again', 2))), app_test.finish_step(queue => 'sbxQ') \g /dev/null

select pg_temp.a_resumed_run('stops') as stops \gset
select pg_temp.in_one_call(:'stops', app_test.failed(pg_temp.lane(:'stops', 1), 'cancelled', '{"retryable": false}')) \g /dev/null
select is(pg_temp.tasks(:'stops'), 'step.1 CANCELLED, step.2 PENDING 2, 1.1 ERROR, 1.2 ENQUEUED, 2.1 PENDING', 'and one that stopped for the cancel');
select app_test.report(app_test.done(pg_temp.lane(:'stops', 2))), app_test.finish_step(queue => 'sbxQ') \g /dev/null
select is(array[app_test.status_of(:'again'), app_test.status_of(:'stops')], array['SUCCESS', 'SUCCESS'], 'both runs end well');

select is_empty('select * from app.v_invariants', 'every law is kept');
rollback;
