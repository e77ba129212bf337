-- get_steps: only the recipe's steps and their tasks, one row each, the latest attempt, with its artifacts.
begin;
select plan(5);

select app_test.a_recipe('test', jsonb_build_array(app_test.a_step('A', '{"retry": {"maxAttempts": 2}}'), app_test.a_step('B'))) as r \gset
select app_test.a_run_at('A') as run \gset
select * from app_test.commit(:'run', app_test.failure('flaky', true));
select app_test.finish(:'run') as f \gset
select is((select jsonb_agg(jsonb_build_array(s -> 'stepID', s -> 'idx', s -> 'attempt', s -> 'status')) from jsonb_array_elements(app.get_steps(:'run')) as s),
  '[["A", 0, 2, "SUCCESS"], ["B", 1, 1, "SUCCESS"]]', 'in order, the latest attempt');
select is(array['stepID', 'idx', 'status', 'attempt', 'startedAt', 'endedAt', 'error', 'cachedFrom', 'artifactRefs', 'traceId', 'spanId'] <@
  array(select jsonb_object_keys(app.get_steps(:'run') -> 0)), true, 'every field of the contract');
select is(app.get_steps(:'run') #>> '{0,artifactRefs,0,kind}', 'none', 'with its artifacts');
select is(app.get_steps(:'run') #>> '{0,traceId}', app.get_run(:'run') ->> 'traceId', 'and the trace of the run');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
