-- v_ops_queue_fairness, and what v_ops_queue_depth estimates: long lines, and when they are empty.
begin;
select plan(15);

select app_test.a_recipe() \g /dev/null
select app_test.a_run(format('%s %s', p, i), options => jsonb_build_object('queuePartitionKey', p, 'lane', case i % 2 when 0 then 'batch' else 'interactive' end))
from unnest(array['a', 'b']) as p, generate_series(1, 4) as i \g /dev/null
select app.set_limits('intentQ', '{"maxRunningPerPartition": 3, "rate": {"limit": 7, "seconds": 60}, "ratePerPartition": {"limit": 5, "seconds": 60}}', 'ann', 'x'),
  app.set_partition('intentQ', 'b', '{"maxRunning": 1, "weight": 2}', 'ann', 'x'), app.pause_partition('intentQ', 'c', 'ann', 'x'), app.advance('90 seconds') \g /dev/null
select app_test.work_once(n => 3) \g /dev/null
select results_eq($$select partition_key, weight, waiting, running, max_running, rate_left, oldest_age_s between 89 and 95, served_share, paused_by from app.v_ops_queue_fairness where queue_name = 'intentQ' order by 1$$,
  $$values ('a' collate "C", 1, 2::bigint, 2::bigint, 3, 3::bigint, true, 0.667, null), ('b', 2, 3, 1, 1, 4, true, 0.333, null), ('c', 1, 0, 0, 3, 4, null, 0.000, 'ann')$$, 'what each has and may have');
select is_empty($$select * from app.v_ops_queue_fairness where queue_name = 'sbxQ'$$, 'a queue without anything has no partition');

-- the pace
select is((select array_agg(drain_s) from app.v_ops_queue_depth where queue_name = 'intentQ'), array[null, null]::bigint[], 'nobody has sampled');
select app_test.recover() \g /dev/null
select is((select count(*) from app.queue_samples where queue_name = 'intentQ'), 1::bigint, 'whoever recovers notes what was handed out');
select app_test.work_once(n => 1), app_test.recover() \g /dev/null
select is((select count(*) from app.queue_samples where queue_name = 'intentQ'), 1::bigint, 'every ten seconds at most');
update app.queue_samples set at = at - interval '20 seconds', handed_out = handed_out - 9;
select app_test.recover() \g /dev/null
select is((select count(*) from app.queue_samples where queue_name = 'intentQ'), 2::bigint, 'then again');
select results_eq($$select partition_key, enqueued, drain_s between 7 and 8 as drain from app.v_ops_queue_depth where queue_name = 'intentQ' order by 1$$, $$values ('a' collate "C", 1::bigint, false), ('b', 3, true)$$, 'four steps at ten in twenty seconds');
select is((select drain_s from app.v_ops_queue_depth where queue_name = 'intentQ' and partition_key = 'a'), 4::bigint, 'one of them, in turn with the other partition');
update app.queue_samples set at = at - interval '1 hour';
select app_test.recover(), app_test.recover() \g /dev/null
select is((select count(*) || ' ' || count(drain_s) from app.queue_samples, app.v_ops_queue_depth as d where d.queue_name = 'intentQ' and d.partition_key = 'b' and d.queue_name = queue_samples.queue_name), '2 0', 'nothing is added while nothing moves, and then nothing is ever empty');
select app.set_limits('intentQ', '{"maxRunningPerPartition": 9}', 'ann', 'x'), app_test.work_once(n => 1), app_test.recover() \g /dev/null
select is((select count(*) from app.queue_samples where queue_name = 'intentQ'), 1::bigint, 'samples are kept for an hour');

-- long lines: 30,000 more, in one priority of one partition, made from what is there
alter table app.run_steps disable trigger user;
insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, enqueued_at)
select s.run_id, s.idx, 1 + i, s.step_id, s.status, 'sbxQ', s.app_version, s.partition_key, s.priority, s.queue_seq + i * 3, s.enqueued_at
from (select * from app.run_steps where queue_seq is not null order by queue_seq limit 1) as s, generate_series(1, 30000) as i;
alter table app.run_steps enable trigger user;
select is((select row(enqueued between 29000 and 31000, is_estimated)::text from app.v_ops_queue_depth where queue_name = 'sbxQ'), '(t,t)', 'an estimate, and it says so');
select is((select is_estimated from app.v_ops_queue_depth where queue_name = 'intentQ' limit 1), false, 'short lines are counted');
select is((select waiting between 29000 and 31000 from app.v_ops_queue_fairness where queue_name = 'sbxQ'), true, 'fairness has the same figure');
delete from app.run_steps where queue_name = 'sbxQ' and attempt > 10000;
select is((select row(enqueued, is_estimated)::text from app.v_ops_queue_depth where queue_name = 'sbxQ'), '(9999,f)', 'up to ten thousand are counted');
delete from app.run_steps where queue_name = 'sbxQ';
select is_empty('select * from app.v_invariants');
rollback;
