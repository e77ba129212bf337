-- A footprint of every table before and after all reads and oracles.
begin;
select plan(2);

select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('A'), app_test.a_step('B', '{"gate": {"key": "approve-plan"}}'))) as r \gset
select app_test.a_run_at('A') as run \gset
select * from app_test.commit(:'run');
select app_test.footprint() as before \gset
select app.get_run(:'run'), app.get_steps(:'run'), app.list_gates(:'run'), app.list_artifacts(:'run'), app.list_runs();
select a.artifact_id from app.artifacts as x, app.get_artifact(x.artifact_id) as a;
select count(*) from app.v_run_timeline; select count(*) from app.v_ops_queue_depth; select count(*) from app.v_gates_open;
select count(*) from app.v_state_machine; select count(*) from app.v_ops_workers; select count(*) from app.v_invariants;
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
