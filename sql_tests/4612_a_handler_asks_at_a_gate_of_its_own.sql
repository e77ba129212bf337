-- A gate that a handler opens belongs to its step or task; a no goes to the handler; other work of the run goes on meanwhile.
begin;
select plan(12);

create function pg_temp.asks(lane anyelement, key text, gate jsonb default '{}') returns jsonb language sql as $$
  select app_test.done(lane, jsonb_build_object('status', 'WAITING', 'wait', jsonb_build_object('seq', 0, 'kind', 'gate', 'name', key, 'gate', gate))) $$;
select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {"gate": {"key": "later"}}]'), app_test.a_run('g', 'fan') as run_id \gset
select app_test.finish_step('{"tasks": [1, 2, 3]}') \g /dev/null
create temp table task as select * from app_test.work_once('w1', 'sbxQ', 2);
select count(*) from app.work('w1', (select jsonb_agg(pg_temp.asks(k, 'task-' || (k.context ->> 'task'), '{"kind": "approval"}')) from task as k)) \g /dev/null
select is((select count(*) from app.v_gates_open where run_id = :'run_id'), 2::bigint, 'two tasks ask at once');
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'the run waits for a human');
select is((app_test.finish_step('{"output": 3}', 'sbxQ') #>> '{context,task}'), '3', 'the third task goes on meanwhile');
select app.reply_gate(:'run_id', 'task-1', '{"decision": "no"}', '1', 'ann') \g /dev/null
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'one is answered, the other is not');
select is((select context #> '{checkpoints,0,value,payload}' from app_test.work_once('w2', 'sbxQ', 5)), '{"decision": "no"}', 'a no is for the handler to judge');
select app.reply_gate(:'run_id', 'task-2', '{"decision": "yes"}', '1', 'ann') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'then nobody is waited for');

-- a key that is taken
select app_test.a_run('taken', 'fan', '{"priority": 0}') as taken \gset
create temp table first as select * from app_test.work_once();
select count(*) from app_test.report((select pg_temp.asks(l, 'later') from first as l)) \g /dev/null
select is(app.get_run(:'taken') #>> '{error,code}', 'gate_key_taken', 'a gate of the recipe is not the handler''s');

-- it expires, and is asked again when the run is repaired
select app_test.a_recipe('one', '[{}]'), app_test.a_run('ttl', 'one', '{"priority": 0}') as ttl \gset
create temp table second as select * from app_test.work_once();
select count(*) from app_test.report((select pg_temp.asks(l, 'quick', '{"ttlMS": 1000}') from second as l)) \g /dev/null
select app.advance('1 second'), app_test.recover() \g /dev/null
select is(app.get_run(:'ttl') #>> '{error,code}', 'gate_expired', 'unanswered in time, it ends the run');
select is((select status from app.run_steps where run_id = :'ttl'), 'CANCELLED', 'and its attempt');
select app.repair_run(:'ttl', 'ann', 'again') \g /dev/null
create temp table third as select * from app_test.work_once();
select is((select context #> '{checkpoints,0}' from third), '{"seq": 0, "kind": "gate", "name": "quick", "value": {}}', 'repaired, the handler comes to the gate unanswered');
select count(*) from app_test.report((select pg_temp.asks(l, 'quick', '{"ttlMS": 1000}') from third as l)) \g /dev/null
select is((select status || ' ' || round from app.gates where run_id = :'ttl'), 'OPEN 2', 'and asks again');
select is_empty('select * from app.v_invariants');
rollback;
