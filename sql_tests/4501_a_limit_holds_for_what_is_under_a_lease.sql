-- At most so many leases of a queue, of each of its partitions, of each worker: whoever claims, whatever became of the lease.
begin;
select plan(18);

select app_test.a_recipe(), app_test.a_recipe('asks', '[{"gate": {"key": "g"}}, {}]'), app_test.a_recipe('naps', '[{}, {"sleep": {"ms": 60000}}, {}]'),
  app_test.a_recipe('fans', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 9}}]') \g /dev/null
select app_test.a_run(format('%s %s', p, i), options => jsonb_build_object('queuePartitionKey', p)) from unnest(array['a', 'b', 'c']) as p, generate_series(1, 5) as i \g /dev/null
create function pg_temp.claim(worker text, n integer) returns text language sql as $$
  select coalesce(string_agg(k.partition_key || k.n, ' ' order by k.partition_key), '') from (
    select r.partition_key, count(*) as n from app_test.work_once(worker, n => claim.n) as w join app.runs as r using (run_id) group by 1) as k $$;
create function pg_temp.running() returns bigint language sql as $$ select count(*) from app.leases() as l where l.queue_name = 'intentQ' $$;

-- the queue
select app.set_limits('intentQ', '{"maxRunning": 4}', 'ann', 'x') \g /dev/null
select is(pg_temp.claim('w1', 3), 'a1 b1 c1', 'within the limit');
select is((select count(*) from app_test.work_once('w2', n => 3)), 1::bigint, 'another worker gets what is left of it');
select is(pg_temp.claim('w1', 3) || pg_temp.claim('w2', 1), '', 'and then nobody anything');
select app_test.age_leases('1 hour') \g /dev/null
select is(pg_temp.claim('w3', 3), '', 'a lease that has expired counts until somebody takes it over');
select is((select count(*) from app_test.work_once('w3', n => 9, want => '{"recover": true}')), 4::bigint, 'which makes room in the same call');
create temp table lane as select s.*, s.worker as holder from app.run_steps as s where s.status = 'PENDING';
select is((select count(*) from app.work('w3', (select jsonb_agg(app_test.done(l)) from (select * from lane limit 2) as l), '{"queues": {"intentQ": 9}}')), 2::bigint, 'lanes that go on keep their slots');
select is(pg_temp.running(), 4::bigint, 'four run');
select app.work('w3', (select jsonb_agg(app_test.done(l)) from (select * from lane offset 2) as l), '{"drain": true, "queues": {"intentQ": 1}}') \g /dev/null
select is(pg_temp.running(), 3::bigint, 'slots that lanes give back in a call are there for the claim of the same call');
select app.set_limits('intentQ', '{"maxRunning": 1}', 'ann', 'x') \g /dev/null
select is(pg_temp.claim('w1', 9), '', 'a limit below what runs hands nothing out');
select is_empty('select * from app.v_invariants', 'and is no broken law');

-- partitions, and one that is an exception
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select app.set_limits('intentQ', '{"maxRunning": null, "maxRunningPerPartition": 2}', 'ann', 'x'), app.set_partition('intentQ', 'b', '{"maxRunning": 1}', 'ann', 'x') \g /dev/null
select set_config('sisu.cursor_intentq', '0 0 ', false) \g /dev/null
select is(pg_temp.claim('w1', 4), 'a2 b1 c1', 'a full partition leaves its part to the others');
select is(pg_temp.claim('w1', 9), 'c1', 'each up to its limit');

-- workers
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select app.set_partition('intentQ', 'b', '{"maxRunning": null}', 'ann', 'x'), app.set_limits('intentQ', '{"maxRunningPerPartition": null, "maxRunningPerWorker": 2}', 'ann', 'x') \g /dev/null
select is((select count(*) from app_test.work_once('w1', n => 9)) || ' ' || (select count(*) from app_test.work_once('w2', n => 9)) || ' ' || (select count(*) from app_test.work_once('w1', n => 9)), '2 2 0', 'each worker its own');

-- who waits holds no slot
select app_test.age_leases('1 hour'), app_test.recover(), app.cancel_run(run_id, 'ann', 'x') from app.runs \g /dev/null
select app.set_limits('intentQ', '{"maxRunning": 1, "maxRunningPerWorker": null}', 'ann', 'x'), app.set_limits('sbxQ', '{"maxRunningPerPartition": 1}', 'ann', 'x') \g /dev/null
select app_test.a_run('asking', 'asks'), app_test.a_run('napping', 'naps', '{"priority": 0}') as nap \gset
select app_test.finish_step() \g /dev/null
select app_test.a_run('fanning', 'fans', '{"priority": 0, "queuePartitionKey": "a"}') as fan \gset
select is(app_test.finish_step('{"tasks": [1, 2, 3]}') ->> 'run_id', :'fan', 'a run asleep and one at its gate hold no slot');
select app_test.a_run('beside') as beside \gset
select is((select run_id from app_test.work_once()), :'beside', 'nor does a step that waits for its tasks');
select is((select count(*) from app_test.work_once('w1', 'sbxQ', 9)), 1::bigint, 'its tasks carry its partition, and are limited by it');
select is((select count(*) from app_test.work_once('w2', 'sbxQ', 9)), 0::bigint, 'on whatever worker');
select is_empty('select * from app.v_invariants');
rollback;
