-- While somebody holds an old snapshot a look for expired leases walks past all that are over; in between, glances from the oldest lease on find the expired.
begin;
select plan(7);

select app_test.a_recipe(), app_test.a_run('first'), app_test.a_run('second') \g /dev/null
create temp table lane as select * from app_test.work_once('w5', want => '{"queues": {"intentQ": 2}}');
select set_config('sisu.again_leases_intentq', (clock_timestamp() + interval '1 day')::text, false) \g /dev/null

select is(app.recover_leases(), 0, 'nothing has expired');
select is(current_setting('sisu.lease_intentq'), (select min(msg_id) from lane)::text, 'the oldest lease is remembered');
select results_eq('select * from app.lease_front(''intentQ'', 0)', format('values (%s::bigint, false)', (select min(msg_id) from lane)), 'and found');
update pgmq.q_intentq set vt = clock_timestamp() - interval '1 second' where msg_id = (select max(msg_id) from lane);
select results_eq('select * from app.lease_front(''intentQ'', 0)', format('values (%s::bigint, true)', (select min(msg_id) from lane)), 'one expires');
select is(app.recover_leases(), 1, 'it is taken over, although no look is due');
select is((select count(*) from app.run_steps where lost), 1::bigint, 'its attempt is lost');
select is_empty('select * from app.v_invariants');
rollback;
