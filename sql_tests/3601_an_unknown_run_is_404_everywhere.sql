-- PT404 with a code that says what is missing.
begin;
select plan(8);

select is(app_test.refusal(format('select app.%s(%L)', f, 'nobody')), 'PT404 run_not_found', f) from unnest('{get_run,get_steps,list_gates,list_artifacts}'::text[]) as f;
select is(app_test.refusal($$select app.approve_plan('nobody', 'me')$$), 'PT404 run_not_found', 'approve_plan');
select is(app_test.refusal($$select app.reply_gate('nobody', 'k', '{}', 'd', 'me')$$), 'PT404 run_not_found', 'reply_gate');
select is(app_test.refusal($$select * from app.get_artifact(999999999)$$), 'PT404 artifact_not_found', 'get_artifact');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
