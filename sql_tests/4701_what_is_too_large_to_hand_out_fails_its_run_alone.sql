-- A step whose context comes to more than a jsonb can hold ends its own run; the steps that were picked with it go to the worker.
begin;
select plan(6);

select app_test.a_recipe('wide', '[{}, {}, {}, {}, {}, {}]') \g /dev/null
select app_test.a_run('before', 'wide') as before, app_test.a_run('large', 'wide') as large, app_test.a_run('after', 'wide') as after \gset
create function pg_temp.finish(n integer) returns bigint language sql as $$
  select count(*) from app.work('w1', (select jsonb_agg(app_test.done(w)) from app_test.work_once('w1', n => n) as w), '{"drain": true}') $$;
select pg_temp.finish(3) from generate_series(1, 5) \g /dev/null
-- as joins of fan-outs may leave them
alter table app.run_steps disable trigger a_final_attempt_never_changes;
update app.run_steps set output = jsonb_build_array(repeat('x', 60000000)) where run_id = :'large' and status = 'SUCCESS' \g /dev/null
select results_eq(format($$ select run_id, idx from app_test.work_once('w1', n => 10) where run_id = any (array[%1$L, %2$L, %3$L]) order by run_id = %2$L $$, :'before', :'after', :'large'),
  format($$ values (%L, 5), (%L, 5) $$, :'before', :'after'), 'the others are assigned, each once');
select is((select concat_ws(' ', h ->> 'status', h #>> '{error,code}', h #>> '{error,stepID}') from app.get_run(:'large') as h), 'ERROR lease_failed S5', 'it ended');
select matches(app.get_run(:'large') #>> '{error,message}', '^it could not be handed to a worker: .*exceeds the maximum', 'and says why');
select is((select status from app.run_steps where run_id = :'large' and idx = 5), 'CANCELLED', 'nothing of it waits');
select is((select count(*) from pgmq.q_intentq), 2::bigint, 'no lease was left behind');
select is_empty('select * from app.v_invariants');
rollback;
