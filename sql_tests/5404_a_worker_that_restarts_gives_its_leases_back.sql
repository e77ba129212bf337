-- register_worker under a name that holds leases: they are taken back at once, and count as a lost worker.
begin;
select plan(12);

select app_test.a_run() as run_id \gset
select is(app_test.error_of($$select app.work('nobody', '[]', '{"queues": {"intentQ": 1}}')$$) ->> 'code', 'worker_not_found', 'who never registered claims nothing');
select is(app.register_worker('w1', '{"appVersion": "0.1.0", "queues": ["intentQ"], "concurrency": 2, "host": "here", "pid": 7}'), '{"worker": "w1", "released": 0}'::jsonb, 'the first time');
select is(row(app_version, queues, concurrency, host, pid, alive)::text, row('0.1.0', '{intentQ}'::text[], 2, 'here', 7, true)::text, 'is in v_ops_workers') from app.v_ops_workers;
create temp table lane as select * from app_test.work_once();
select is(leases, 1::bigint, 'with its leases') from app.v_ops_workers;
select app_test.work_once('w2'), app_test.a_run('other') \g /dev/null
create temp table other as select * from app_test.work_once('w2');
select is(app.register_worker('w1', '{"appVersion": "2", "queues": ["sbxQ", "intentQ"], "concurrency": 3}') -> 'released', '1'::jsonb, 'again: its lease is taken back');
select is(row(app_version, queues, concurrency, host, pid, alive)::text, row('2', '{sbxQ,intentQ}'::text[], 3, null, null, true)::text, 'and the row is new') from app.v_ops_workers where worker = 'w1';
select is((select error ->> 'code' from app.run_steps where run_id = :'run_id' and attempt = 1), 'lease_expired', 'the attempt is over');
select is((select status from app.run_steps where run_id = :'run_id' and attempt = 2), 'ENQUEUED', 'a new one is in line');
select is((select w.outcome from lane, app_test.report(app_test.done(lane)) as w), 'refused', 'the old process cannot commit');
select is((select count(*) from app.leases()), 1::bigint, 'leases of others stay');
select app.retire_worker('w1'), app_test.a_worker('w1') \g /dev/null
select is(alive, true, 'who left may come back') from app.v_ops_workers where worker = 'w1';
select is_empty('select * from app.v_invariants');
rollback;
