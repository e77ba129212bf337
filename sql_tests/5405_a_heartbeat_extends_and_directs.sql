-- heartbeat: extends what is held; lost when somebody else has it, cancel when the run is over.
begin;
select plan(13);

select app_test.a_run('held') as held, app_test.a_run('lost') as lost, app_test.a_run('over', options => '{"timeoutMS": 1000}') as over \gset
create temp table lane as select * from app_test.work_once(n => 3);
create temp table leases as select jsonb_agg(app_test.lease(lane)) as l from lane;
select is_empty($$select h.* from leases, app.heartbeat('w1', l) as h$$, 'all is well');
select app_test.age_leases('25 seconds') \g /dev/null
select h.* from leases, app.heartbeat('w1', l) as h \g /dev/null
select is((select count(*) from app.leases() where expires_at > clock_timestamp() + interval '28 seconds'), 3::bigint, 'every lease lasts as long as a new one');

select app.release('w1', jsonb_build_array(app_test.lease(lane))) from lane where run_id = :'lost' \g /dev/null
select app_test.work_once('w2') \g /dev/null
select app.advance('1 second'), app_test.recover() \g /dev/null
create temp table directive as select h.* from leases, app.heartbeat('w1', l) as h;
select bag_eq('select directive, run_id from directive', format('values (%L, %L), (%L, %L)', 'lost', :'lost', 'cancel', :'over'), 'lost and cancel');
select is(row(d.idx, d.task_key, d.queue_name, d.msg_id)::text, row(lane.idx, lane.task_key, lane.queue_name, lane.msg_id)::text, 'directives name the lane: ' || d.directive)
from directive as d join lane using (run_id) order by d.directive;
select app_test.age_leases('1 minute') \g /dev/null
select h.* from leases, app.heartbeat('w1', l) as h \g /dev/null
select is((select count(*) from app.leases() where expires_at < clock_timestamp()), 1::bigint, 'the lease of another is not extended');
select is((select array_agg(h.directive) from leases, app.heartbeat('w2', l) as h), array['lost', 'lost', 'lost'], 'nobody extends what another holds');
select is_empty($$select app.heartbeat('w1')$$, 'a heartbeat without leases is a sign of life');
update app.workers set last_seen_at = now() - interval '1 day' where worker = 'w1';
select app.heartbeat('w1') \g /dev/null
select is(alive, true, 'the worker is alive') from app.v_ops_workers where worker = 'w1';
select is(app_test.error_of($$select app.heartbeat('nobody')$$) ->> 'code', 'worker_not_found', 'an unknown worker');
select app.retire_worker('w1') \g /dev/null
select is(app_test.error_of($$select app.heartbeat('w1')$$) ->> 'code', 'worker_not_found', 'and one that left');
update app.queues set lease_seconds = 100 where queue_name = 'intentQ';
select app_test.a_run('long'), app_test.age_leases('1 day') \g /dev/null
select app_test.work_once('w3') \g /dev/null
select ok(max(expires_at) between clock_timestamp() + interval '95 seconds' and clock_timestamp() + interval '101 seconds', 'a lease lasts as long as its queue says') from app.leases();
select is_empty('select * from app.v_invariants');
rollback;
