-- app.mock_receipts: one row per task whose result was committed, seen_count 1 for ever.
begin;
select plan(7);

select app_test.a_run_at('ExecuteST') as run_id \gset
select app_test.finish_step('{"tasks": [1, 2, 3]}') \g /dev/null
create temp table task as select w.*, context ->> 'task' as n from app_test.work_once(queue => 'sbxQ', n => 3) as w;
select app_test.report(app_test.done(task, '{"receipt": true}')) from task where n = '1' \g /dev/null
select is((select w.outcome from task, app_test.report(app_test.done(task, '{"receipt": true}')) as w where n = '1'), 'refused', 'the same result again');
select is((select array_agg(seen_count) from app.mock_receipts), array[1], 'is not seen again');
select app_test.report(app_test.done(task)) from task where n = '2' \g /dev/null
select is((select count(*) from app.mock_receipts), 1::bigint, 'who asks for none gets none');

-- a worker that dies after its work and before its commit
select app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select is((select attempt from app_test.work_once('w2', 'sbxQ')), 2, 'another worker repeats the task');
select app_test.report(app_test.done(s, '{"receipt": true}'), 'w2') from app.run_steps as s where attempt = 2 \g /dev/null
select is((select w.outcome from task, app_test.report(app_test.done(task, '{"receipt": true}')) as w where n = '3'), 'refused', 'the first one comes back too late');
select is((select array_agg(seen_count) from app.mock_receipts), array[1, 1], 'every receipt is seen once');
select is_empty('select * from app.v_invariants');
rollback;
