-- Tasks of one run that were picked together and are all too large: the first ends the run, and the others with it; the rest of the claim goes on.
begin;
select plan(6);

select app_test.a_recipe('wide', '[{}, {}, {}, {}, {}, {"fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 4}}]') \g /dev/null
select app_test.a_run('large', 'wide') as large, app_test.a_run('other', 'wide') as other \gset
create function pg_temp.finish(more jsonb default '{}') returns bigint language sql as $$
  select count(*) from app.work('w1', (select jsonb_agg(app_test.done(w, more)) from app_test.work_once('w1', n => 2) as w), '{"drain": true}') $$;
select pg_temp.finish() from generate_series(1, 5) \g /dev/null
select pg_temp.finish('{"tasks": ["a", "b", "c"]}') \g /dev/null
-- as joins of fan-outs may leave them
alter table app.run_steps disable trigger a_final_attempt_never_changes;
update app.run_steps set output = jsonb_build_array(repeat('x', 60000000)) where run_id = :'large' and status = 'SUCCESS' \g /dev/null
alter table app.run_steps enable trigger a_final_attempt_never_changes;
select is((select app_test.error_of($$ create temp table claimed as select run_id, idx, attempt from app_test.work_once('w1', 'sbxQ', 10) $$)), null, 'the claim is not refused');
select results_eq('select run_id, count(*) from claimed group by 1', format('values (%L, 3::bigint)', :'other'), 'the tasks of the other are assigned, each once');
select is((select concat_ws(' ', h ->> 'status', h #>> '{error,code}') from app.get_run(:'large') as h), 'ERROR lease_failed', 'it ended');
select is((select string_agg(distinct status, ' ') from app.run_steps where run_id = :'large' and task_key <> ''), 'CANCELLED', 'nothing of it waits');
select is((select count(*) from pgmq.q_sbxq), 3::bigint, 'no lease was left behind');
select is_empty('select * from app.v_invariants');
rollback;
