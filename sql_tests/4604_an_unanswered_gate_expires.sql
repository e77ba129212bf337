-- TTL: the run ends in ERROR when the time is over, not before; an answer in time closes the timer; one too late is refused.
begin;
select plan(15);

select app_test.a_recipe('r', '[{"gate": {"key": "ask", "ttlMS": 60000}}]') \g /dev/null
select app_test.a_run('late', 'r') as late, app_test.a_run('answered', 'r') as answered \gset
select is(app_test.status_of(:'late'), 'WAITING_INPUT', 'a gate before the first step opens at the start');
select is((app.list_gates(:'late') #>> '{0,expiresAt}')::bigint - (app.list_gates(:'late') #>> '{0,openedAt}')::bigint, 60000::bigint, 'it tells when it ends');
select app.advance('59 seconds'), app_test.recover() \g /dev/null
select is(app_test.status_of(:'late'), 'WAITING_INPUT', 'not early');
select is(app.reply_gate(:'answered', 'ask', '{"decision": "yes"}', 'k', 'page') - 'repliedAt', '{"ok": true, "isReplay": false}'::jsonb, 'the other one is answered in time');
select app.advance('1 second') \g /dev/null
select is(app_test.error_of(format('select app.reply_gate(%L, ''ask'', ''{"decision": "yes"}'', ''k'', ''page'')', :'late')) ->> 'code', 'gate_closed',
  'an answer after the end is refused even before anybody fired the timer');
select app_test.recover() \g /dev/null
select is(app_test.status_of(:'late'), 'ERROR', 'then the run is over');
select is(error - 'message', '{"code": "gate_expired", "gateKey": "ask"}'::jsonb, 'with the reason') from app.runs where run_id = :'late';
select is(app.list_gates(:'late') #>> '{0,status}', 'EXPIRED', 'the gate has expired');
select is(app_test.error_of(format('select app.reply_gate(%L, ''ask'', ''{"decision": "yes"}'', ''k'', ''page'')', :'late')) - 'message' - 'hint',
  '{"sqlstate": "PT409", "code": "gate_closed", "status": "EXPIRED"}'::jsonb, 'too late');
select is_empty(format('select * from app.gate_replies where run_id = %L', :'late'), 'a late reply is not kept');
select is((select fired_at is null and closed_at is not null from app.timers where run_id = :'answered'), true, 'an answer closes the timer');
select is(app_test.status_of(:'answered'), 'PENDING', 'the answered run goes on');
select is((select run_id from app_test.work_once(n => 5)), :'answered', 'its step is the only one to claim');
select is((select count(*) from app.timers where fired_at is not null), 1::bigint, 'one timer fired');
select is_empty('select * from app.v_invariants');
rollback;
