-- stale: no live worker of its version, or a claimed step whose lease has expired.
begin;
select plan(8);

select app_test.a_run() as run_id \gset
create function pg_temp.stale() returns text language sql as $$ select app.get_run(app_test.an_intent()) ->> 'stale' $$;
select is(pg_temp.stale(), 'true', 'nobody is there');
select app_test.a_worker('other', '{"appVersion": "other"}') \g /dev/null
select is(pg_temp.stale(), 'true', 'a worker of another version is nobody');
select app_test.a_worker() \g /dev/null
select is(pg_temp.stale(), 'false', 'a live worker of its version');
update app.workers set last_seen_at = last_seen_at - interval '16 seconds';
select is(pg_temp.stale(), 'true', 'one that has been silent is not alive');
create temp table lane as select * from app_test.work_once();
select app_test.a_worker() \g /dev/null
create temp table again as select * from app_test.work_once();
select is(pg_temp.stale(), 'false', 'a held lease');
select app_test.age_leases('1 minute') \g /dev/null
select is(pg_temp.stale(), 'true', 'an expired lease');
select app.retire_worker('w1') \g /dev/null
select is(pg_temp.stale(), 'true', 'a worker that left');
select is_empty('select * from app.v_invariants');
rollback;
