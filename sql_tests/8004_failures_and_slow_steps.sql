-- v_ops_failures_24h and v_ops_slow_steps.
begin;
select plan(17);

select app_test.a_recipe(), app_test.a_recipe('tries', '[{"retry": {"maxAttempts": 2, "backoff": {"initialMS": 0}, "retryableCodes": ["infra"]}}]'), app_test.a_recipe('gated', '[{"gate": {"key": "g"}}]') \g /dev/null
select is_empty('select * from app.v_ops_failures_24h', 'nothing failed');
select is_empty('select * from app.v_ops_slow_steps', 'nothing was slow');

-- failures
select app_test.a_run('first', 'tries', '{"queuePartitionKey": "p"}') as first \gset
select app_test.fail_step('infra'), app_test.fail_step('infra'), app.advance('1 hour') \g /dev/null
select app_test.a_run('no', 'gated') as no \gset
select app.reply_gate(:'no', 'g', '{"decision": "no"}', '1', 'ann'), app.advance('1 hour') \g /dev/null
update app.queues set max_recoveries = 0;
select app_test.a_run('dead') as dead \gset
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select results_eq('select run_id collate "default", recipe, step_id, error_code, attempts, status, partition_key collate "default" from app.v_ops_failures_24h', format($$values
  (%L, 'plain', 'S0', 'max_recovery_attempts_exceeded', 1::bigint, 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', ''), (%L, 'gated', null, 'gate_rejected', 0, 'ERROR', ''), (%L, 'tries', 'S0', 'infra', 2, 'ERROR', 'p')$$, :'dead', :'no', :'first'),
  'newest first: a dead lane, a no, a step that failed twice');
select is((select row(error_message, ended_at)::text from app.v_ops_failures_24h where run_id = :'first'), (select row('it did not work', ended_at)::text from app.runs where run_id = :'first'), 'with its words and its time');
select app.advance('22 hours 30 minutes') \g /dev/null
select is((select array_agg(run_id) from app.v_ops_failures_24h), array[:'dead', :'no'], 'what failed a day ago is not in it');
select app.resume_run(:'dead', 'ann', 'x'), app.cancel_run(:'dead', 'ann', 'x') \g /dev/null
select is((select array_agg(run_id) from app.v_ops_failures_24h), array[:'no'], 'nor what is failed no more');
update app.queues set max_recoveries = 5;

-- durations: the clock moves while a step is at work
create function pg_temp.takes(ms integer, more jsonb default '{}', queue text default 'intentQ') returns void language plpgsql as $$
declare
  lane app.assignment;
begin
  perform app.advance('2 seconds');
  select * into lane from app_test.work_once(queue => queue);
  perform app.advance(ms * interval '1 ms'), app_test.report(app_test.done(lane, more));
end $$;
select app_test.a_recipe('timed', '[{"stepId": "Fast"}, {"stepId": "Fan", "fanOut": {"queue": "sbxQ", "handler": "t/task", "retry": {"maxAttempts": 3, "retryableCodes": ["infra"], "backoff": {"initialMS": 0}}}}, {"stepId": "Nap", "sleep": {"ms": 1000000}}, {"stepId": "Never", "when": "1 == 2"}]') \g /dev/null
create function pg_temp.runs(n integer) returns void language plpgsql as $$
begin
  for i in 1 .. n loop
    perform app_test.a_run('timed ' || i, 'timed', format('{"priority": 0, "queuePartitionKey": "t%s"}', i)::jsonb);
    perform pg_temp.takes(i * 100), pg_temp.takes(1000, '{"tasks": [1]}');
    perform pg_temp.takes(5000, '{"status": "ERROR", "error": {"code": "infra", "message": "m"}}', 'sbxQ'), pg_temp.takes(7000, '{}', 'sbxQ');
    perform app.advance('1 day'), app_test.recover();
  end loop;
end $$;
select pg_temp.runs(4) \g /dev/null
create temp table slow as select *, row_number() over () as place from app.v_ops_slow_steps where recipe = 'timed';
select is((select string_agg(step_id || ' ' || part, ', ' order by place) from slow), 'Fan step, Fan task, Fast step', 'slowest first; what sleeps or was skipped is left out');
select is(attempts || ' ' || retries || ' ' || lost || ' ' || failed, '4 0 0 0', 'four attempts') from slow where step_id = 'Fast';
select ok(p50_ms between 240 and 280 and p95_ms between 375 and 420 and max_ms between 400 and 430, format('between 100 and 400 ms: %s %s %s', p50_ms, p95_ms, max_ms)) from slow where step_id = 'Fast';
select ok(waited_p95_ms between 1990 and 2100, 'after two seconds in line: ' || waited_p95_ms) from slow where step_id = 'Fast';
select is(attempts || ' ' || retries || ' ' || failed, '8 4 4', 'a task that is tried again is two attempts') from slow where part = 'task';
select ok(max_ms between 7000 and 7100, 'tasks on their own') from slow where part = 'task';
select ok(p50_ms >= 12000, 'a step that fans out is as long as its tasks') from slow where step_id = 'Fan' and part = 'step';

-- a lost worker; what a fork reused does not count
select app_test.a_run('lost', 'timed', '{"priority": 0, "queuePartitionKey": "l"}') as lost \gset
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is((select lost || ' ' || failed from app.v_ops_slow_steps where recipe = 'timed' and step_id = 'Fast'), '1 0', 'a lost worker is no failure');
create temp table before as select attempts from app.v_ops_slow_steps where recipe = 'timed' and step_id = 'Fast';
select app.fork_run((select run_id from app.runs where status = 'SUCCESS' limit 1), 1, 'ann', 'x'), app_test.work_once(n => 9) \g /dev/null
select is((select attempts from app.v_ops_slow_steps where recipe = 'timed' and step_id = 'Fast'), attempts, 'what was reused does not count again') from before;
select is((select array_agg(a.attname::text order by a.attnum) from pg_attribute as a where a.attrelid = 'app.v_ops_slow_steps'::regclass and a.attnum between 1 and 4), array['recipe', 'step_id', 'part', 'attempts'], 'per recipe and step');
select is((select count(*) from app.v_ops_slow_steps where recipe = 'tries'), 1::bigint, 'every recipe is in it');
rollback;
