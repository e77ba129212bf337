-- A run that ends while it waits closes its gate and its timers.
begin;
select plan(6);

select app_test.a_recipe('r', '[{"gate": {"key": "ask", "ttlMS": 90000}}]'), app_test.a_run('g', 'r', '{"timeoutMS": 60000}') as run_id \gset
select app.advance('1 minute'), app_test.recover() \g /dev/null
select is(error ->> 'code', 'run_timeout', 'the run timed out') from app.runs;
select is(app.list_gates(:'run_id') #>> '{0,status}', 'CLOSED', 'the gate is closed');
select is((select closed_at is not null from app.timers where kind = 'gate_ttl'), true, 'so is its timer');
select is(app_test.error_of(format('select app.reply_gate(%L, ''ask'', ''{"decision": "yes"}'', ''1'', ''me'')', :'run_id')) ->> 'code', 'gate_closed', 'no answer is taken');
select is_empty('select * from app.v_gates_open', 'nobody is asked');
select is_empty('select * from app.v_invariants');
rollback;
