-- What runs of a partition when its own limit is taken back goes on, and is no broken law; nothing more is handed out.
begin;
select plan(5);

select app_test.a_recipe(), app_test.a_run('g' || n, options => '{"queuePartitionKey": "p"}') from generate_series(1, 5) as n \g /dev/null
select app.set_limits('intentQ', '{"maxRunningPerPartition": 1}', 'ann', 'test'), app.set_partition('intentQ', 'p', '{"maxRunning": 3}', 'ann', 'test') \g /dev/null
create temp table lane as select * from app_test.work_once(n => 9);
select is((select count(*) from lane), 3::bigint, 'three run');
-- in the time of one transaction they were claimed before the limits were set
update app.queues set limits_at = limits_at - interval '1 hour';
select app.set_partition('intentQ', 'p', '{"maxRunning": null}', 'ann', 'test') \g /dev/null
select is_empty('select * from app.partitions', 'it is like any other again');
select is_empty('select * from app.v_invariants', 'what runs breaks no law');
select is_empty('select * from app_test.work_once(n => 9)', 'and no more is handed out');
select is_empty('select * from app.v_invariants');
rollback;
