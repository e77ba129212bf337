-- A result of status WAITING parks the attempt: no lease, no slot; it goes in line again as the same attempt, with its checkpoints.
begin;
select plan(21);

select app_test.a_recipe('one', '[{}]'), app_test.a_run('g', 'one') as run_id \gset
create temp table lane as select * from app_test.work_once();
select app.checkpoint('w1', app_test.lease(l), '{"seq": 0, "kind": "step", "name": "charge", "value": {"id": 7}}') as first from lane as l \gset
select is(:'first'::jsonb, '{"seq": 0, "kind": "step", "name": "charge", "value": {"id": 7}, "isReplay": false}', 'a checkpoint commits');
select is(app.checkpoint('w1', app_test.lease(l), '{"seq": 0, "kind": "step", "name": "charge", "value": {"id": 8}}'), '{"seq": 0, "kind": "step", "name": "charge", "value": {"id": 7}, "isReplay": true}', 'once') from lane as l;
select is(app_test.error_of(format('select app.checkpoint(''w1'', %L, ''{"seq": 0, "kind": "step", "name": "refund"}'')', app_test.lease(l))) - array['hint', 'message'],
  '{"sqlstate": "PT409", "code": "determinism_error", "drift": [{"field": "name", "existing": "charge", "incoming": "refund"}]}', 'another name at its place is a determinism error') from lane as l;
select is(app_test.error_of(format('select app.checkpoint(''w2'', %L, ''{"seq": 1, "kind": "step", "name": "x"}'')', app_test.lease(l))) ->> 'code', 'stale_lease', 'only the holder of the lease') from lane as l;
select app.checkpoint('w1', app_test.lease(l), '{"seq": 1, "kind": "emit", "name": "log", "artifact": {"kind": "file", "name": "log.txt", "body": "aGk="}}') -> 'value' as emitted from lane as l \gset
select is(:'emitted'::jsonb, (select jsonb_build_object('artifactId', artifact_id) from app.artifacts where run_id = :'run_id' and kind = 'file' and idx = 1001), 'an artifact can be emitted on the way');

select count(*) from app_test.report((select app_test.done(l, '{"status": "WAITING", "wait": {"seq": 2, "kind": "sleep", "name": "an hour", "ms": 3600000}}') from lane as l)) \g /dev/null
select results_eq(format('select status, parked_at is not null, msg_id is null, attempt from app.run_steps where run_id = %L', :'run_id'), $$values ('PENDING', true, true, 1)$$, 'asleep, without a lease');
select is_empty('select * from app.leases()', 'its message is gone');
select is_empty('select * from app_test.work_once(''w1'', ''intentQ'', 5)', 'nobody can claim it');
select is_empty('select * from app.v_invariants');
select app.advance('1 hour') \g /dev/null
create temp table again as select * from app_test.work_once('w2', 'intentQ', 1, '{"recover": true}');
select is((select attempt || ' ' || outcome from again), '1 assigned', 'it wakes as the same attempt');
select is((select jsonb_agg(c - 'value' || case when c ->> 'kind' = 'sleep' then jsonb_build_object('over', c #> '{value,over}') else jsonb_build_object('value', c -> 'value') - 'x' end)
    from again cross join lateral jsonb_array_elements(context -> 'checkpoints') as c where c ->> 'kind' <> 'emit'),
  '[{"seq": 0, "kind": "step", "name": "charge", "value": {"id": 7}}, {"seq": 2, "kind": "sleep", "name": "an hour", "over": true}]', 'with what it had done');

-- and a human
select count(*) from app_test.report((select app_test.done(l, '{"status": "WAITING", "wait": {"seq": 3, "kind": "gate", "name": "really", "gate": {"kind": "input", "title": "Really?"}}}') from again as l), 'w2') \g /dev/null
select is(app_test.status_of(:'run_id') || ' ' || (app.get_run(:'run_id') ->> 'nextAction'), 'WAITING_INPUT REPLY_GATE', 'the run waits for a human');
select app.reply_gate(:'run_id', 'really', '{"answer": 42}', '1', 'ann') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'answered, it goes on');
create temp table third as select * from app_test.work_once('w1', 'intentQ', 1);
select is((select context -> 'checkpoints' -> 3 from third), '{"seq": 3, "kind": "gate", "name": "really", "value": {"payload": {"answer": 42}}}', 'with the answer');
select count(*) from app_test.report((select app_test.done(l) from third as l)) \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'to the end');

-- a lost worker: the next attempt replays; a cancelled sleep is resumed to the same time
select app_test.a_run('lost', 'one') as lost \gset
create temp table held as select * from app_test.work_once('w3');
select app.checkpoint('w3', app_test.lease(l), '{"seq": 0, "kind": "step", "name": "a", "value": 1}') from held as l \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
create temp table taken as select * from app_test.work_once('w1');
select is((select attempt || ' ' || (context #>> '{checkpoints,0,value}') from taken), '2 1', 'another attempt begins with the checkpoints of the lost one');
select count(*) from app_test.report((select app_test.done(l, '{"status": "WAITING", "wait": {"seq": 1, "kind": "sleep", "name": "s", "ms": 60000}}') from taken as l)) \g /dev/null
select app.cancel_run(:'lost', 'ann', 'x'), app.resume_run(:'lost', 'ann', 'x') \g /dev/null
create temp table resumed as select * from app_test.work_once('w1');
select is((select attempt || ' ' || (context #>> '{checkpoints,1,value,over}') from resumed), '3 false', 'resumed before its time, the sleep is not over');
select count(*) from app_test.report((select app_test.done(l, '{"status": "WAITING", "wait": {"seq": 1, "kind": "sleep", "name": "s", "ms": 60000}}') from resumed as l)) \g /dev/null
select is((select count(distinct fire_at) from app.timers where run_id = :'lost' and kind = 'sleep'), 1::bigint, 'and ends when it would have');

-- what cannot wait fails its attempt
select app.advance('1 minute') \g /dev/null
create temp table wrong as select * from app_test.work_once('w1', 'intentQ', 1, '{"recover": true}');
select count(*) from app_test.report((select app_test.done(l, '{"status": "WAITING", "wait": {"seq": 1, "kind": "gate", "name": "g"}}') from wrong as l)) \g /dev/null
select is(app.get_run(:'lost') #>> '{error,code}', 'determinism_error', 'another wait at the same place is a determinism error');
select is(app_test.faults_of($$select app.work('w1', '[{"runId": "r", "idx": 0, "taskKey": "", "attempt": 1, "queue": "intentQ", "msgId": 1, "readCt": 0, "status": "WAITING", "wait": {"seq": -1, "kind": "sleep", "name": "n"}}]')$$),
  'results[0].wait.ms, results[0].wait.seq', 'a malformed wait is refused');
select is_empty('select * from app.v_invariants');
rollback;
