-- Only the holder of the current lease commits; the rest of its batch does.
begin;
select plan(15);

select app_test.a_run('stale') as stale, app_test.a_run('fresh') as fresh \gset
create temp table lane as select * from app_test.work_once(n => 2);
select app_test.age_leases('1 minute') \g /dev/null
select app.heartbeat('w1', (select jsonb_agg(app_test.lease(lane)) from lane where run_id = :'fresh')) \g /dev/null
select app_test.recover() \g /dev/null
create temp table taken as select * from app_test.work_once('w2', n => 1);
select is(run_id || attempt, :'stale' || 2, 'another worker has the expired lane') from taken;

create temp table answer as select * from app.work('w1',
  (select jsonb_agg(app_test.done(lane, '{"output": "late", "artifacts": [{"kind": "file", "name": "f", "inline": 1}], "receipt": true}')) from lane), '{"drain": true}');
select is((select array_agg(outcome || run_id || reason) from answer), array['refused' || :'stale' || 'stale_lease'], 'the stale result comes back as refused');
select is((select status from app.run_steps where run_id = :'fresh' and idx = 0), 'SUCCESS', 'the rest of the batch commits');
select is((select array_agg(status order by attempt) from app.run_steps where run_id = :'stale' and idx = 0), array['ERROR', 'PENDING'], 'nothing of the stale one is written');
select is_empty(format('select * from app.artifacts where run_id = %L', :'stale'), 'no artifact');
select is_empty(format('select * from app.mock_receipts where run_id = %L', :'stale'), 'no receipt');

-- each part of the token counts
create temp table before as select app_test.everything() as hash;
select is((select w.outcome from taken, app.work('w2', jsonb_build_array(app_test.done(taken) || more)) as w), 'refused', more::text)
from (values ('{"msgId": 999999}'::jsonb), ('{"readCt": 7}'), ('{"attempt": 1}'), ('{"queue": "sbxQ"}'), ('{"taskKey": "x"}'), ('{"runId": "nobody"}')) as v (more);
select is(app_test.everything(), hash, 'a refused result writes nothing') from before;
select is_empty($$select w.* from taken, app.work('w2', jsonb_build_array(app_test.done(taken)), '{"drain": true}') as w$$, 'the holder commits');
select is_empty('select * from app.v_invariants');
rollback;
