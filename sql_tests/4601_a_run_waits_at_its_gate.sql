-- A gate opens before the step it guards; the run holds no slot; the answer lets it go on.
begin;
select plan(17);

select app_test.a_run_at('approve-plan') as run_id \gset
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'the run waits');
select is(row(gate_key, kind, title, before_step, expires_at)::text, row('approve-plan', 'approval', 'Approve the plan', 'DecideST', null)::text, 'the gate is in v_gates_open') from app.v_gates_open;
select is_empty('select * from app.leases()', 'no lease');
select is_empty('select * from app_test.work_once()', 'nothing to claim');
create temp table answer as select app.approve_plan(:'run_id', 'ann', 'looks good') as a;
select is(a - 'approvedAt', jsonb_build_object('accepted', true, 'workflowID', :'run_id', 'isReplay', false), 'accepted') from answer;
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');
select is(status || payload::text, 'ANSWERED{"notes": "looks good", "decision": "yes", "approvedBy": "ann"}', 'the reply is kept') from app.gates;
select is(inline - 'at', jsonb_build_object('op', 'reply', 'actor', 'ann', 'reason', 'looks good', 'targetWorkflowID', :'run_id', 'gateKey', 'approve-plan',
  'dedupeKey', 'approve-plan', 'payload', payload), 'and leaves one audit artifact') from app.artifacts, app.gates where step_id = 'OPS';
select is(kind, 'json_diagnostic', 'of kind json_diagnostic') from app.artifacts where step_id = 'OPS';
create temp table before as select app_test.everything() as hash;
select is(app.approve_plan(:'run_id', 'ann', 'looks good'), a || '{"isReplay": true}', 'the same reply again is a replay') from answer;
select is(app_test.everything(), hash, 'and writes nothing') from before;
select is(app_test.error_of(format('select app.approve_plan(%L, ''bob'')', :'run_id')) ->> 'code', 'dedupe_conflict', 'the same key with another payload is refused');
select is(app_test.error_of(format('select app.approve_plan(%L, ''bob'')', :'run_id')) #>> '{drift,0,field}', 'payload', 'and tells the difference');
select is(app_test.error_of(format('select app.approve_plan(%L, ''bob'', dedupe_key => ''2'')', :'run_id')) - 'message' - 'hint',
  '{"sqlstate": "PT409", "code": "gate_closed", "status": "ANSWERED"}'::jsonb, 'a gate is answered once');
select is(app_test.everything(), hash, 'refusals write nothing') from before;
select is((select step_id from app_test.work_once()), 'DecideST', 'the guarded step is next');
select is_empty('select * from app.v_invariants');
rollback;
