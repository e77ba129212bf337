-- selfApproval false: the starter cannot answer, and a start that does not say who it is is refused.
begin;
select plan(7);

select app_test.a_recipe('r', '[{"gate": {"key": "approve-plan", "selfApproval": false}}]') \g /dev/null
select is(app_test.error_of($$select app_test.a_run('g', 'r')$$) - array['hint', 'message'],
  '{"sqlstate": "PT400", "code": "approval_policy_violation", "details": [{"path": "startedBy", "message": "is required: who starts the run may not answer its gate approve-plan"}]}', 'a start has to say who');
select app_test.a_run('g', 'r', '{"startedBy": "ann"}') as run_id \gset
select app_test.everything() as before \gset
select is(app_test.error_of(format('select app.approve_plan(%L, ''ann'')', :'run_id')) - array['hint', 'message'], '{"sqlstate": "PT403", "code": "self_approval"}', 'the starter may not');
select is(app_test.everything(), :'before', 'and nothing is written');
select app.approve_plan(:'run_id', 'bob') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'somebody else may');
select is(app_test.error_of(format('select app.start_run(%L, ''{"recipeName": "r", "startedBy": "bob"}'')', :'run_id')) -> 'drift', '[{"field": "startedBy", "existing": "ann", "incoming": "bob"}]', 'another starter is drift');
select app.fork_run(:'run_id', 0, 'cid', 'x') ->> 'forkedWorkflowID' as fork \gset
select is((select started_by from app.runs where run_id = :'fork'), 'cid', 'who forks, starts');
select is_empty('select * from app.v_invariants');
rollback;
