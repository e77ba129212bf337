-- A step may have several gates: all open at once, each answerable, the step begins when none is open any more.
begin;
select plan(11);

select app_test.a_recipe('r', '[{}, {"gates": [{"key": "law"}, {"key": "money", "kind": "input"}, {"key": "approve-plan"}]}]'), app_test.a_run('g', 'r') as run_id \gset
select app.reply_gate(:'run_id', 'law', '{"decision": "yes"}', '1', 'ann') \g /dev/null
select app_test.finish_step() \g /dev/null
select results_eq(format('select gate_key, status from app.gates where run_id = %L order by 1', :'run_id'), $$values ('approve-plan', 'OPEN'), ('law', 'ANSWERED'), ('money', 'OPEN')$$, 'all open at once, but for the one that was answered ahead of time');
select is(app.get_run(:'run_id') ->> 'nextAction', 'APPROVE_PLAN', 'the plan comes first');
select app.approve_plan(:'run_id', 'bob') \g /dev/null
select is(app_test.status_of(:'run_id') || ' ' || (app.get_run(:'run_id') ->> 'nextAction'), 'WAITING_INPUT REPLY_GATE', 'one is left');
select is((select count(*) from app.run_steps where run_id = :'run_id' and idx = 1), 0::bigint, 'the step waits');
select app.reply_gate(:'run_id', 'money', '{"sum": 5}', '1', 'cid') \g /dev/null
select is(app_test.status_of(:'run_id') || ' ' || (select status from app.run_steps where run_id = :'run_id' and idx = 1), 'PENDING ENQUEUED', 'then it begins, once');
select is((select context -> 'gates' from app_test.work_once()), '{"law": {"decision": "yes"}, "money": {"sum": 5}, "approve-plan": {"decision": "yes", "approvedBy": "bob"}}', 'with every answer');

-- a no at any of them ends the run; all answered ahead of time, none is asked
select app_test.a_run('no', 'r') as no \gset
select app_test.finish_step() \g /dev/null
select app.reply_gate(:'no', 'law', '{"decision": "no", "notes": "never"}', '1', 'ann') \g /dev/null
select is(app.get_run(:'no') #>> '{error,message}', 'law was answered no: never', 'a no ends the run');
select is((select string_agg(status, ' ' order by gate_key) from app.gates where run_id = :'no'), 'CLOSED ANSWERED CLOSED', 'and closes the others');
select app_test.a_run('ahead', 'r') as ahead \gset
select app.reply_gate(:'ahead', 'law', '{"decision": "yes"}', '1', 'a'), app.reply_gate(:'ahead', 'money', '{}', '1', 'a'), app.approve_plan(:'ahead', 'a') \g /dev/null
select app_test.finish_step() \g /dev/null
select is((select string_agg(status, ' ') from app.run_steps where run_id = :'ahead' and idx = 1), 'ENQUEUED', 'all answered ahead of time: the step begins at once, and once');
select is(app_test.faults_of($$select app.put_recipe('{"name": "r", "steps": [{"stepId": "A", "handler": "h", "gates": [{"key": "a"}, {"key": "a"}, 5, {"kind": "x"}]}]}')$$), 'steps[0].gates[0].key, steps[0].gates[2], steps[0].gates[3].key, steps[0].gates[3].kind', 'every fault of a list of gates is told');
select is_empty('select * from app.v_invariants');
rollback;
