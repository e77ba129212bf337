-- reply_gate: approval wants a decision, input takes any object and hands it to the step; unknown gates and runs are 404.
begin;
select plan(11);

select app_test.a_recipe('r', '[{"gate": {"key": "sign"}}, {"gate": {"key": "tell", "kind": "input", "title": "Tell me"}}]'), app_test.a_run('g', 'r') as run_id \gset
select is(app.get_run(:'run_id') ->> 'nextAction', 'REPLY_GATE', 'nextAction at another gate than approve-plan');
select is(app_test.faults_of(format('select app.reply_gate(%L, ''sign'', %L, ''1'', ''me'')', :'run_id', p)), 'payload.decision', 'approval: ' || p)
from unnest(array['{}', '{"decision": "maybe"}']) as p;
select is(app_test.error_of(format('select app.reply_gate(%L, ''nobody'', ''{}'', ''1'', ''me'')', :'run_id')) ->> 'code', 'gate_not_found', 'an unknown gate');
select is(app_test.error_of($$select app.reply_gate('nobody', 'sign', '{}', '1', 'me')$$) ->> 'code', 'run_not_found', 'an unknown run');
select is(app_test.error_of(format('select app.approve_plan(%L, ''me'')', :'run_id')) ->> 'code', 'gate_not_found', 'approve_plan wants a gate approve-plan');
select is(app.reply_gate(:'run_id', 'sign', '{"decision": "yes", "more": [1]}', '1', 'me') -> 'ok', 'true'::jsonb, 'an answer may say more');
select app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'the second gate');
select is(app.reply_gate(:'run_id', 'tell', '{"colour": "red"}', '1', 'me') -> 'ok', 'true'::jsonb, 'dedupe keys belong to one gate');
select is((select context -> 'gates' from app_test.work_once()), '{"sign": {"decision": "yes", "more": [1]}, "tell": {"colour": "red"}}'::jsonb, 'the step sees all answers');
select is_empty('select * from app.v_invariants');
rollback;
