-- Repair of a step whose condition could not be evaluated: it is evaluated again, and what stands behind it, gates too, is not passed by.
begin;
select plan(9);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.step_id || '.' || s.attempt || ' ' || s.status, ', ' order by s.idx, s.attempt) from app.run_steps as s where s.run_id = $1 $$;
select app_test.a_recipe('ask', '[{}, {"when": "$.outputs.S0.a.datetime() < $.outputs.S0.b.datetime()", "gate": {"key": "approve-plan"}}]') \g /dev/null
select app_test.a_run('g', 'ask') as run_id \gset
select app_test.finish_step('{"output": {"a": "2026-01-01", "b": "2026-01-01T00:00:00+00:00"}}') \g /dev/null
select is(app.get_run(:'run_id') #>> '{error,code}', 'bad_condition', 'it cannot be evaluated');
select is(app.repair_run(:'run_id', 'ann', 'x') ->> 'status', 'ERROR', 'nor when it is repaired');
select is(pg_temp.steps(:'run_id') || ' ' || (app.get_run(:'run_id') #>> '{error,code}'), 'S0.1 SUCCESS, S1.1 ERROR, S1.2 ERROR bad_condition', 'the step did not run');

-- what it looks at is other than it was
alter table app.run_steps disable trigger a_final_attempt_never_changes;
update app.run_steps set output = '{"a": "2026-01-01", "b": "2026-01-02"}' where run_id = :'run_id' and idx = 0 \g /dev/null
alter table app.run_steps enable trigger a_final_attempt_never_changes;
select is(app.repair_run(:'run_id', 'ann', 'x') ->> 'status', 'WAITING_INPUT', 'met, it stands behind its gate');
select is(pg_temp.steps(:'run_id'), 'S0.1 SUCCESS, S1.1 ERROR, S1.2 ERROR', 'nothing is in line');
select app.cancel_run(:'run_id', 'ann', 'x') \g /dev/null
select is(app.resume_run(:'run_id', 'ann', 'x') ->> 'status', 'WAITING_INPUT', 'nor after a cancel that was taken back');
select app.approve_plan(:'run_id', 'ann') \g /dev/null
select is(pg_temp.steps(:'run_id'), 'S0.1 SUCCESS, S1.1 ERROR, S1.2 ERROR, S1.3 ENQUEUED', 'a yes lets it begin');
select app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'and end');
select is_empty('select * from app.v_invariants');
rollback;
