-- explain_run on a queue with limits: which one, who holds the slots or when the next token comes, and the SQL that helps.
begin;
select plan(9);

select app_test.a_recipe() \g /dev/null
select app_test.a_run('one ' || i, options => '{"queuePartitionKey": "p"}') from generate_series(1, 6) as i \g /dev/null
select app_test.a_worker() \g /dev/null
create function pg_temp.explained() returns text language sql as $$
  select concat_ws(' | ', e.why, regexp_replace(e.held_by, 'ih_\S{64}', 'run', 'g'), e.unblock) from app.run_steps as s cross join lateral app.explain_run(s.run_id) as e
  where s.queue_seq is not null order by s.queue_seq desc limit 1 $$;

select app.set_limits('intentQ', '{"maxRunning": 2}', 'ann', 'x') \g /dev/null
select alike(pg_temp.explained(), 'S0 waits in line on intentQ, 5 before it%', 'no limit is reached');
select app_test.work_once(n => 9) \g /dev/null
select is(pg_temp.explained(), 'S0 waits on intentQ: waits for a slot, the limit 2 of the queue is reached | run, run | select app.set_limits(''intentQ'', ''{"maxRunning": 4}'', actor => ''me'', reason => ''…'')', 'the queue');
select app.set_limits('intentQ', '{"maxRunning": null, "maxRunningPerPartition": 2}', 'ann', 'x') \g /dev/null
select is(pg_temp.explained(), 'S0 waits on intentQ: waits for a slot, the limit 2 of its partition is reached | run, run | select app.set_partition(''intentQ'', ''p'', ''{"maxRunning": 4}'', actor => ''me'', reason => ''…'')', 'its partition');
select app.set_limits('intentQ', '{"maxRunningPerPartition": null, "maxRunningPerWorker": 2}', 'ann', 'x') \g /dev/null
select is(pg_temp.explained(), 'S0 waits on intentQ: waits for a slot, every worker that is there has reached the limit of 2 | run, run | select app.set_limits(''intentQ'', ''{"maxRunningPerWorker": 4}'', actor => ''me'', reason => ''…'')', 'the workers');
select app_test.a_worker('of another version', '{"appVersion": "v0"}') \g /dev/null
select alike(pg_temp.explained(), '%every worker that is there has reached the limit of 2%', 'one that may not have the run is none of them');
select app.set_limits('intentQ', '{"maxRunningPerWorker": null, "rate": {"limit": 2, "seconds": 60}}', 'ann', 'x') \g /dev/null
select app_test.work_once(n => 1), app.advance('10 seconds'), app_test.work_once(n => 9) \g /dev/null
select is(pg_temp.explained(), 'S0 waits on intentQ: its rate limit of 2 in 60 s is used up | the clock | select app.set_limits(''intentQ'', ''{"rate": {"limit": 4, "seconds": 60}}'', actor => ''me'', reason => ''…'')', 'the rate');
select is((select e.next_at from app.run_steps as s cross join lateral app.explain_run(s.run_id) as e where s.queue_seq is not null limit 1), (select min(used_at) + interval '60 seconds' from app.rate_tokens), 'and when its next token is free');
select app.advance('1 minute') \g /dev/null
select alike(pg_temp.explained(), 'S0 waits in line on intentQ, 1 before it%', 'which it is then');
select is_empty('select * from app.v_invariants');
rollback;
