-- Lease expiry: the attempt ends as ERROR lease_expired, a new one takes the run's old place in line; lost workers do not use up attempts.
begin;
select plan(14);

select app_test.a_run('lost') as lost \gset
create temp table lane as select * from app_test.work_once();
select app_test.a_run('younger') \g /dev/null
select app_test.age_leases('29 seconds'), app_test.recover() \g /dev/null
select is((select count(*) from app.run_steps where attempt = 2), 0::bigint, 'a lease that is held is not taken');
select app_test.age_leases('2 seconds') \g /dev/null
select is(app.get_run(:'lost') ->> 'stale', 'true', 'an expired one makes the run stale');
select is((select count(*) from app_test.work_once('w2', n => 1, want => '{"recover": false}') where run_id = :'lost'), 0::bigint, 'without recover nobody looks');
select app_test.recover() \g /dev/null
select is(row(status, error ->> 'code', worker)::text, row('ERROR', 'lease_expired', 'w1')::text, 'the attempt is over') from app.run_steps where run_id = :'lost' and attempt = 1;
create temp table again as select * from app_test.work_once('w2');
select is(run_id || attempt || outcome, :'lost' || '2assigned', 'another worker has a new attempt') from again;
select isnt(again.msg_id, lane.msg_id, 'under another lease') from again, lane;
select is_empty('select * from app.v_invariants', 'healthy after a takeover');
select is((select w.outcome from lane, app_test.report(app_test.done(lane)) as w), 'refused', 'the old worker is fenced off');
select app_test.report(app_test.done(again), 'w2') from again \g /dev/null
select is((select array_agg(status order by attempt) from app.run_steps where run_id = :'lost' and idx = 0), array['ERROR', 'SUCCESS'], 'the new attempt commits, although maxAttempts is 1');

-- whoever comes back after the expiry and before anybody took over still holds its lease
create temp table next as select * from app_test.work_once('w3', n => 5);
select app_test.age_leases('1 minute') \g /dev/null
select is((select count(*) from app.work('w3', (select jsonb_agg(app_test.done(next)) from next), '{"drain": true}')), 0::bigint, 'nobody took over: the late result commits');
select is((select count(*) from app.run_steps where status = 'ENQUEUED' and step_id = 'S1'), (select count(*) from next where step_id = 'S0'), 'the runs go on');
select is_empty('select * from app.leases() as l where l.expires_at < clock_timestamp() and not exists (select from app.run_steps as s where s.msg_id = l.msg_id and s.status = ''PENDING'')', 'no lease is left over');

-- several at once, in one call
select app_test.work_once('w4', n => 9), app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select is((select count(*) from app.leases()), 0::bigint, 'one call takes them all');
select is_empty('select * from app.v_invariants');
rollback;
