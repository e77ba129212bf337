-- A handler that stops because its run was cancelled may say so after the run was resumed: that is no failure, the step is tried again.
begin;
select plan(9);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.idx || '.' || s.attempt || ' ' || s.status, ', ' order by s.idx, s.task_key <> '', s.task_idx, s.attempt) from app.run_steps as s where s.run_id = $1 $$;
create function pg_temp.cancel_and_resume(run_id text) returns void language sql as $$
  select app.advance('1 second');
  select app.cancel_run(run_id, 'ann', 'wait'), app.resume_run(run_id, 'ann', 'go on');
  select app.advance('1 second') $$;

-- a step
select app_test.a_run('stops') as stops \gset
create temp table lane as select w.* from app_test.work_once() as w;
select pg_temp.cancel_and_resume(:'stops') \g /dev/null
select app_test.report(app_test.failed(l, 'cancelled', '{"retryable": false}')) from lane as l \g /dev/null
select is(app_test.status_of(:'stops') || ' ' || pg_temp.steps(:'stops'), 'PENDING 0.1 ERROR, 0.2 ENQUEUED', 'the step is tried again');
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'stops'), 'SUCCESS', 'and the run ends well');

-- any other failure is one
select app_test.a_run('fails') as fails \gset
create temp table broken as select w.* from app_test.work_once() as w;
select pg_temp.cancel_and_resume(:'fails') \g /dev/null
select app_test.report(app_test.failed(l, 'broken', '{"retryable": false}')) from broken as l \g /dev/null
select is(app_test.status_of(:'fails'), 'ERROR', 'a step that failed for another reason has failed');

-- an attempt that began after the resume was told nothing
select app_test.a_run('says so itself') as itself \gset
select pg_temp.cancel_and_resume(:'itself') \g /dev/null
select app_test.fail_step('cancelled', '{"retryable": false}') \g /dev/null
select is(app_test.status_of(:'itself'), 'ERROR', 'a step that began after the resume and gives itself up has failed');
select app_test.a_run('never cancelled') as never \gset
select app_test.fail_step('cancelled', '{"retryable": false}') \g /dev/null
select is(app_test.status_of(:'never'), 'ERROR', 'so has one whose run was never cancelled');

-- tasks
select app_test.a_run_at('ExecuteST') as fan \gset
select app_test.finish_step('{"tasks": [{"n": 1}, {"n": 2}]}') \g /dev/null
create temp table tasks as select w.* from app_test.work_once(queue => 'sbxQ', n => 2) as w;
select pg_temp.cancel_and_resume(:'fan') \g /dev/null
select app_test.finish_step('{"tasks": [{"n": 1}, {"n": 2}]}') \g /dev/null
select app_test.report(app_test.failed(l, 'cancelled', '{"retryable": false}')) from tasks as l where l.context -> 'task' = '{"n": 1}' \g /dev/null
select is(pg_temp.steps(:'fan'), '0.1 SUCCESS, 1.1 SUCCESS, 2.1 SUCCESS, 3.1 CANCELLED, 3.2 PENDING, 3.1 ERROR, 3.2 ENQUEUED, 3.1 PENDING',
  'the task that stopped is tried again, the other one is under way');
select app_test.report(app_test.done(l)) from tasks as l where l.context -> 'task' = '{"n": 2}' \g /dev/null
select is(app_test.status_of(:'fan'), 'PENDING', 'its step waits for it');
select app_test.finish_step(queue => 'sbxQ') \g /dev/null
select is(app_test.status_of(:'fan'), 'SUCCESS', 'and the run ends well');

select is_empty('select * from app.v_invariants', 'every law is kept');
rollback;
