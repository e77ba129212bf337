-- APPROVE_PLAN at the plan gate, REPLY_GATE at another, REPAIR after a failure, RESUME after too many lost workers, else null.
begin;
select plan(8);

select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('A'), app_test.a_step('B', '{"gate": {"key": "approve-plan"}}'), app_test.a_step('C', '{"gate": {"key": "colour", "kind": "input"}}'))) as r \gset
select app_test.a_run() as run \gset
select is(app.get_run(:'run') -> 'nextAction', 'null'::jsonb, 'in line: nothing');
select app_test.finish(:'run') as f \gset
select is(app.get_run(:'run') ->> 'nextAction', 'APPROVE_PLAN', 'at the plan gate');
select app.approve_plan(:'run', 'me') as a \gset
select app_test.finish(:'run') as f \gset
select is(app.get_run(:'run') ->> 'nextAction', 'REPLY_GATE', 'at another gate');
select app.reply_gate(:'run', 'colour', '{"colour": "red"}', '1', 'me') as a \gset
select * from app_test.claim();
select * from app_test.commit(:'run', app_test.failure('broken'));
select is(app.get_run(:'run') ->> 'nextAction', 'REPAIR', 'after a failure');
select is(app.get_run(:'run') ->> 'lastStep', 'C', 'the last step');
select is(app.get_run(:'run') #>> '{error,code}', 'broken', 'and why');
update app.queues set max_recoveries = 0;
select app_test.a_run_at('A', 'poison') as poison \gset
select app_test.age_leases('1 hour');
select * from app_test.claim('w2', 0, '{"recover": true}');
select is(app.get_run(:'poison') ->> 'nextAction', 'RESUME', 'after too many lost workers');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
