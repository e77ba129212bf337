-- release and retire_worker: attempts end as ERROR lease_released and are in line again at once, at the old place.
begin;
select plan(14);

update app.queues set max_recoveries = 0;
select app_test.a_run('first') as first, app_test.a_run('second') as second \gset
create temp table lane as select * from app_test.work_once(n => 2);
select app_test.a_run('third') as third \gset
select is((select app.release('w2', jsonb_agg(app_test.lease(lane))) from lane), 0, 'nobody gives back what another holds');
select is((select app.release('w1', jsonb_build_array(app_test.lease(lane))) from lane where run_id = :'first'), 1, 'one lane back');
select is(row(status, error ->> 'code')::text, row('ERROR', 'lease_released')::text, 'the attempt is over') from app.run_steps where run_id = :'first' and attempt = 1;
select is((select app.release('w1', jsonb_build_array(app_test.lease(lane))) from lane where run_id = :'first'), 0, 'again it is none');
select is((select w.outcome from lane, app_test.report(app_test.done(lane)) as w where lane.run_id = :'first'), 'refused', 'what was given back cannot commit');
create temp table again as select * from app_test.work_once('w2');
select is(run_id || attempt, :'first' || 2, 'it is claimed again before the younger run') from again;
select is(app.release('w1', '[]'), 0, 'none is fine');
select is_empty('select * from app.v_invariants', 'healthy in between');

select app.retire_worker('w1') \g /dev/null
select is((select array_agg(error ->> 'code' order by attempt) from app.run_steps where run_id = :'second'), array['lease_released', null], 'who leaves gives everything back');
select is(row(alive, leases)::text, row(false, 0)::text, 'and is not alive') from app.v_ops_workers where worker = 'w1';
select is(app_test.error_of($$select app.retire_worker('nobody')$$) ->> 'code', 'worker_not_found', 'an unknown worker');
select is(leases, 1::bigint, 'the other one keeps its lane') from app.v_ops_workers where worker = 'w2';
select is(app_test.status_of(:'second'), 'PENDING', 'giving back is no recovery: no count, even with max_recoveries 0');
select is_empty('select * from app.v_invariants');
rollback;
