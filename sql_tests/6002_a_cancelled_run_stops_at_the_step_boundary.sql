-- Cancel: the step in flight may commit, the next never starts; open tasks, gates and timers close, and the worker is told.
begin;
select plan(25);

-- a step in flight
select app_test.a_run('in flight', options => '{"timeoutMS": 60000}') as run_id \gset
create temp table lane as select * from app_test.work_once();
select is_empty('select h.* from lane, app.heartbeat(''w1'', jsonb_build_array(app_test.lease(lane))) as h', 'nothing to stop yet');
select is(app.cancel_run(:'run_id', 'ann', 'wrong goal'), jsonb_build_object('accepted', true, 'workflowID', :'run_id', 'status', 'CANCELLED', 'dryRun', false), 'cancelled');
select results_eq('select directive, h.idx from lane, app.heartbeat(''w1'', jsonb_build_array(app_test.lease(lane))) as h', $$values ('cancel', 0)$$, 'the heartbeat says so');
select is((select closed_at is not null from app.timers where kind = 'run_timeout'), true, 'its timeout is closed');
select is((select row(ended_at is not null, error)::text from app.runs where run_id = :'run_id'), '(t,)', 'it has an end and no error');
select is((select status from app.run_steps), 'PENDING', 'the step in flight is left alone');
select is_empty($$select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane, '{"output": 7}'))) as w$$, 'its result is taken, and there is no next step');
select is(status || output, 'SUCCESS7', 'and kept') from app.run_steps;
select is((select count(*) from app.artifacts where step_idx = 0), 1::bigint, 'with its artifact');
select is_empty('select * from app.leases()', 'the lease is gone');
select is_empty('select * from app_test.work_once(n => 9)', 'nothing to claim');
select is(app_test.status_of(:'run_id') || coalesce(app.get_run(:'run_id') ->> 'nextAction', '-'), 'CANCELLEDRESUME', 'the run is CANCELLED, it can be resumed');

-- a step in flight that fails
select app_test.a_run('fails') as fails \gset
create temp table failing as select * from app_test.work_once();
select app.cancel_run(:'fails', 'ann', 'x') \g /dev/null
select w.* from failing, app.work('w1', jsonb_build_array(app_test.failed(failing, 'infra', '{"retryable": true}'))) as w \g /dev/null
select is(app_test.status_of(:'fails') || (select string_agg(status, ',') from app.run_steps where run_id = :'fails'), 'CANCELLEDERROR', 'CANCELLED it stays when the step in flight fails; no retry');

-- a worker that dies meanwhile
select app_test.a_run('dies') as dies \gset
select app_test.work_once() \g /dev/null
select app.cancel_run(:'dies', 'ann', 'x'), app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is((select string_agg(status, ',') from app.run_steps where run_id = :'dies'), 'CANCELLED', 'a step whose worker dies is not given to another');

-- at a gate
select app_test.a_recipe('gated', '[{}, {"gate": {"key": "ask", "ttlMS": 60000}}]'), app_test.a_run('g', 'gated') as gated \gset
select app_test.finish_step(), app.cancel_run(:'gated', 'ann', 'x') \g /dev/null
select is(status || (closed_at is not null), 'CLOSEDtrue', 'the gate is closed') from app.gates;
select is((select closed_at is not null from app.timers where kind = 'gate_ttl'), true, 'so is its timer');
select is(app_test.error_of(format('select app.reply_gate(%L, ''ask'', ''{"decision": "yes"}'', ''1'', ''me'')', :'gated')) ->> 'code', 'gate_closed', 'an answer comes too late');

-- between two tries
select app_test.a_recipe('again', '[{"retry": {"maxAttempts": 2, "backoff": {"initialMS": 1000}, "retryableCodes": ["infra"]}}]'), app_test.a_run('again', 'again') as again \gset
select app_test.fail_step('infra'), app.cancel_run(:'again', 'ann', 'x'), app.advance('1 hour'), app_test.recover() \g /dev/null
select is((select count(*) from app.run_steps where run_id = :'again'), 1::bigint, 'the next try never comes');

-- during a fan-out: one task done, one in flight, one in line
select app_test.a_run_at('ExecuteST') as fan \gset
select app_test.finish_step('{"tasks": [1, 2, 3]}'), app_test.finish_step('{"receipt": true}', 'sbxQ') \g /dev/null
create temp table task as select * from app_test.work_once(queue => 'sbxQ');
select app.cancel_run(:'fan', 'ann', 'x') \g /dev/null
select is((select array_agg(status order by task_key <> '', status) from app.run_steps where run_id = :'fan' and idx = 3), array['CANCELLED', 'CANCELLED', 'PENDING', 'SUCCESS'], 'the task in line is cancelled');
select results_eq('select directive from task, app.heartbeat(''w1'', jsonb_build_array(app_test.lease(task)))', $$values ('cancel')$$, 'the one in flight is told');
select is_empty('select * from app_test.work_once(queue => ''sbxQ'', n => 9)', 'none is claimed');
select is_empty($$select w.* from task, app_test.report(app_test.done(task, '{"receipt": true}')) as w$$, 'the one in flight may commit');
select is(app_test.status_of(:'fan') || (select count(*) from app.mock_receipts where seen_count = 1), 'CANCELLED2', 'two tasks ran, the run is CANCELLED, not ERROR');
select is_empty('select * from app_test.work_once(n => 9)', 'nothing to claim anywhere');
select is_empty('select * from app.v_invariants');
rollback;
