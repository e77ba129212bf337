-- Retries: only what is retryable, a timer between, longer each time, up to maxAttempts.
begin;
select plan(17);

select app_test.a_recipe('r', '[{"retry": {"maxAttempts": 4, "backoff": {"initialMS": 1000, "jitter": 0, "factor": 3, "maxMS": 5000}, "retryableCodes": ["infra"]}}]'),
  app_test.a_run('g', 'r') as run_id \gset
select app_test.fail_step('infra') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');
select is_empty('select * from app_test.work_once()', 'nothing to claim yet');
select is(extract(epoch from fire_at - created_at), 1.0, 'the first wait') from app.timers;
select app.advance('900 milliseconds'), app_test.recover() \g /dev/null
select is_empty('select * from app_test.work_once()', 'a timer never fires early');
select app.advance('100 milliseconds'), app_test.recover() \g /dev/null
create temp table lane as select * from app_test.work_once();
select is(attempt, 2, 'then there is a new attempt') from lane;
select app_test.report(app_test.failed(lane, 'broken', '{"retryable": true}')) from lane \g /dev/null
select is(extract(epoch from fire_at - created_at), 3.0, 'the next wait is longer; an error may call itself retryable') from app.timers where fired_at is null;
select app.advance('3 seconds'), app_test.recover(), app_test.fail_step('infra') \g /dev/null
select is(extract(epoch from fire_at - created_at), 5.0, 'up to the longest') from app.timers where fired_at is null;
select is_empty('select * from app.v_invariants', 'healthy between attempts');
select app.advance('5 seconds'), app_test.recover(), app_test.fail_step('infra') \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the attempts are exhausted');
select is((select array_agg(attempt || status order by attempt) from app.run_steps), array['1ERROR', '2ERROR', '3ERROR', '4ERROR'], 'each attempt is a row');
select is(error ->> 'attempt', '4', 'the run tells the last one') from app.runs;
select is(app.get_steps(:'run_id') #>> '{0,attempt}', '4', 'a reader sees the latest attempt');
select is(jsonb_array_length(app.get_steps(:'run_id')), 1, 'of one step');

select app_test.a_run('not retryable', 'r') as second \gset
select app_test.fail_step('broken') \g /dev/null
select is(app_test.status_of(:'second'), 'ERROR', 'a code that is not listed is not retried');
select app_test.a_run('never', 'r') as third \gset
select app_test.fail_step('infra', '{"retryable": false}') \g /dev/null
select is(app_test.status_of(:'third'), 'ERROR', 'retryable false is never retried');
select is_empty('select * from app.timers where fired_at is null and closed_at is null', 'no timer is left');
select is_empty('select * from app.v_invariants');
rollback;
