-- onExpiry: the run fails, is cancelled, or goes on with an answer that the recipe has.
begin;
select plan(13);

select app_test.a_recipe('fails', '[{"gate": {"key": "g", "ttlMS": 60000}}]'), app_test.a_recipe('stops', '[{"gate": {"key": "g", "ttlMS": 60000, "onExpiry": "cancel"}}]'),
  app_test.a_recipe('yes', '[{"gate": {"key": "g", "ttlMS": 60000, "onExpiry": "answer", "answer": {"decision": "yes", "by": "nobody"}}}]'),
  app_test.a_recipe('no', '[{"gate": {"key": "g", "ttlMS": 60000, "onExpiry": "answer", "answer": {"decision": "no"}}}]') \g /dev/null
select app_test.a_run('1', 'fails') as fails, app_test.a_run('2', 'stops') as stops, app_test.a_run('3', 'yes') as yes, app_test.a_run('4', 'no') as no \gset
select app.advance('50 seconds'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs where status = 'WAITING_INPUT'), 4::bigint, 'not yet');
select app.advance('10 seconds'), app_test.recover() \g /dev/null
select is(app.get_run(:'fails') #>> '{error,code}', 'gate_expired', 'fail: the run ends in ERROR');
select is(app_test.status_of(:'stops') || ' ' || (select status from app.gates where run_id = :'stops'), 'CANCELLED EXPIRED', 'cancel: in CANCELLED');
select is(app_test.status_of(:'yes') || ' ' || (select status from app.gates where run_id = :'yes'), 'PENDING ANSWERED', 'answer: it goes on');
select is((select context #> '{gates,g}' from app_test.work_once()), '{"decision": "yes", "by": "nobody"}', 'with the answer of the recipe');
select is(app.get_run(:'no') #>> '{error,code}', 'gate_rejected', 'which may be a no');
select is(app_test.error_of(format('select app.reply_gate(%L, ''g'', ''{"decision": "yes"}'', ''1'', ''ann'')', :'yes')) ->> 'code', 'gate_closed', 'nobody can answer it any more');
select app.resume_run(:'stops', 'ann', 'again') \g /dev/null
select is(app_test.status_of(:'stops') || ' ' || (select status || ' ' || round from app.gates where run_id = :'stops'), 'WAITING_INPUT OPEN 2', 'a resumed run is asked again');
select app.cancel_run(:'yes', 'ann', 'x'), app.fork_run(:'yes', 0, 'ann', 'x') \g /dev/null
select is(app_test.status_of(:'yes' || '-f1'), 'PENDING', 'a fork keeps the answer');
select is(app_test.faults_of($$select app.put_recipe('{"name": "x", "steps": [{"stepId": "A", "handler": "h", "gate": {"key": "g", "onExpiry": "answer"}}]}')$$), 'steps[0].gate.answer', 'an answer has to be there');
select is(app_test.faults_of($$select app.put_recipe('{"name": "x", "steps": [{"stepId": "A", "handler": "h", "gate": {"key": "g", "onExpiry": "answer", "answer": {}}}]}')$$), 'steps[0].gate.answer.decision', 'and to be one');
select is(app_test.faults_of($$select app.put_recipe('{"name": "x", "steps": [{"stepId": "A", "handler": "h", "gate": {"key": "g", "kind": "input", "quorum": 2, "answer": {}}}]}')$$), 'steps[0].gate.answer, steps[0].gate.quorum', 'nor where it means nothing');
select is_empty('select * from app.v_invariants');
rollback;
