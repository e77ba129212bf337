-- Whoever takes over reads a message, which renews it: a lease whose run somebody holds at that moment is given back at once.
begin;
select plan(6);

select app_test.a_run('held') as held \gset
create temp table lane as select * from app_test.work_once();
select app_test.age_leases('1 minute') \g /dev/null
-- as a recovery that finds the run locked: nothing is held
create temp table seen as select l from app.expired_leases('intentQ', 30, 10) as l;
select is((select count(*) from app.leases() where expires_at > clock_timestamp()), 1::bigint, 'read, and so renewed');
select is(app.lose_leases(array(select row((l).queue_name, (l).msg_id, (l).read_ct, (l).expires_at, 'another run', (l).task_key, (l).partition_key, (l).worker, (l).granted_at)::app.lease from seen), 'lease_expired', '%s'), 0, 'its run is not ours to end');
select is((select count(*) from app.leases() where expires_at <= clock_timestamp()), 1::bigint, 'it is given back');
select app_test.recover() \g /dev/null
select is((select string_agg(status, ' ' order by attempt) from app.run_steps where run_id = :'held'), 'ERROR ENQUEUED', 'and the next recovery takes over');
select is_empty('select * from app.leases()', 'no lease is left');
select is_empty('select * from app.v_invariants');
rollback;
