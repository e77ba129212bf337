-- run_ends: a row for every end of a run, while somebody collects.
begin;
select plan(17);

select app_test.a_run('before') \g /dev/null
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select is_empty('select * from app.run_ends', 'nobody collects: nothing is kept');
select is_empty('select * from app.take_ends(10)', 'somebody does from now on');

select app_test.a_run('good') as good, app_test.a_run('bad') as bad, app_test.a_run('slow', options => '{"timeoutMS": 1000}') as slow, app_test.a_run('unwanted') as unwanted \gset
select app_test.finish_step(), app_test.finish_step(), app_test.fail_step() \g /dev/null
select app.cancel_run(:'unwanted', 'ann', 'x'), app.advance('2 seconds'), app_test.recover() \g /dev/null
select app_test.a_run_at('approve-plan', 'no') as gated \gset
select app.approve_plan(:'gated', 'ann', decision => 'no'), app.sleep_run('nap', 10), app.advance('1 second'), app_test.recover() \g /dev/null
select bag_eq('select run_id, status, error ->> ''code'' from app.run_ends', format($$values (%L, 'SUCCESS', null), (%L, 'ERROR', 'broken'), (%L, 'ERROR', 'run_timeout'),
  (%L, 'CANCELLED', null), (%L, 'ERROR', 'gate_rejected'), ('nap', 'SUCCESS', null)$$, :'good', :'bad', :'slow', :'unwanted', :'gated'), 'with a worker and without one');

select app_test.a_run('poison') as poison \gset
update app.queues set max_recoveries = 0;
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 minute'), app_test.recover() \g /dev/null
select is((select status from app.run_ends where run_id = :'poison'), 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'a poison pill');

create temp table taken as select * from app.take_ends(4);
select is((select array_agg(end_id order by end_id) from taken), (select array_agg(e.end_id) from (select end_id from app.run_ends order by end_id limit 4) as e), 'the oldest first, as many as asked for');
select is((select count(*) from app.take_ends(100)), 3::bigint, 'then the others');
select is_empty('select * from app.take_ends(100)', 'each once');
select is(app.forget_ends(array(select end_id from taken)), 4::bigint, 'those that are sent are forgotten');
select is(app.forget_ends(array(select end_id from taken)), 0::bigint, 'once');
update app.run_ends set taken_at = taken_at - interval '31 seconds' where run_id = :'poison';
select is((select trace ->> 'runId' from app.take_ends(100)), :'poison', 'what was not sent comes again');
update app.run_ends set noted_at = noted_at - interval '61 minutes', taken_at = null where run_id = 'nap';
select is_empty('select * from app.take_ends(100)', 'after an hour it does not');
select is((select count(*) from app.run_ends where run_id = 'nap'), 0::bigint, 'and is dropped');

select app.resume_run(:'unwanted', 'ann', 'x') \g /dev/null
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select is((select array_agg(e.status order by e.end_id) from app.run_ends as e where e.run_id = :'unwanted' and e.reopened_at is not null), array['SUCCESS'], 'a run that was resumed ends again');
select app_test.a_run('last step') as last \gset
select app_test.finish_step() \g /dev/null
create temp table lane as select * from app_test.work_once();
select app.cancel_run(:'last', 'ann', 'x') \g /dev/null
select app_test.report(app_test.done(lane)) from lane \g /dev/null
select app.resume_run(:'last', 'ann', 'x') \g /dev/null
select is((select array_agg(e.status order by e.end_id) from app.run_ends as e where e.run_id = :'last'), array['CANCELLED', 'SUCCESS'], 'and one whose last step had been done');

update app.settings set value = to_jsonb(extract(epoch from clock_timestamp()) - 1) where key = 'traces_until';
select app.cancel_run(app_test.a_run('late'), 'ann', 'x') \g /dev/null
select is((select count(*) from app.run_ends where run_id = app_test.an_intent('late')), 0::bigint, 'nobody has collected for an hour');
select is(app_test.faults_of('select app.take_ends(0)') || ' ' || app_test.faults_of('select app.take_ends(null)') || ' ' || app_test.faults_of('select app.forget_ends(null)'), 'n n end_ids', 'arguments');
select is_empty('select * from app.v_invariants');
rollback;
