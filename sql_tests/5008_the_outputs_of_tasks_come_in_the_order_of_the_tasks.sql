-- The newest fan-out of a step names the order of its tasks: what an earlier attempt made, in another order, is put into it.
begin;
select plan(5);

select app_test.a_recipe('fan', '[{"retry": {"maxAttempts": 1}, "fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 9}}]') \g /dev/null
select app_test.a_run('g', 'fan') as run_id \gset
create function pg_temp.work_all() returns void language sql as $$
  with lane as materialized (select w as l, w.context -> 'task' ->> 'n' as n from app_test.work_once('w1', 'sbxQ', 9) as w)
  select from app.work('w1', (select jsonb_agg(case n when 'bad' then app_test.failed(l) else app_test.done(l, jsonb_build_object('output', n)) end) from lane), '{"drain": true}') $$;
select app_test.finish_step('{"tasks": [{"n": "a"}, {"n": "b"}, {"n": "bad"}]}'), pg_temp.work_all() \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'one task failed');
select app.repair_run(:'run_id', 'ann', 'x') \g /dev/null
-- the same tasks in another order, the bad one mended
select app_test.finish_step('{"tasks": [{"n": "c"}, {"n": "b"}, {"n": "a"}]}'), pg_temp.work_all() \g /dev/null
select is((select string_agg(t ->> 'output', ' ') from app.run_steps as s, jsonb_array_elements(s.output -> 'tasks') as t where s.idx = 0 and s.task_key = '' and s.status = 'SUCCESS'), 'c b a', 'in their order now');

-- the very same tasks turned round, nothing new
select app_test.a_run('h', 'fan') as run_id \gset
select app_test.finish_step('{"tasks": [{"n": "x"}, {"n": "y"}, {"n": "bad"}]}'), pg_temp.work_all(), app.repair_run(:'run_id', 'ann', 'x') \g /dev/null
update app.run_steps set priority = 0 where run_id = :'run_id' and status = 'ENQUEUED';
select app_test.finish_step('{"tasks": [{"n": "bad"}, {"n": "y"}, {"n": "x"}]}') \g /dev/null
select * from app.work('w1', (select jsonb_build_array(app_test.done(w, '{"output": "good"}')) from app_test.work_once('w1', 'sbxQ', 1) as w), '{"drain": true}') \g /dev/null
select is((select string_agg(t ->> 'output', ' ') from app.run_steps as s, jsonb_array_elements(s.output -> 'tasks') as t
  where s.run_id = :'run_id' and s.idx = 0 and s.task_key = '' and s.status = 'SUCCESS'), 'good y x', 'turned round');
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'the run is over');
select is_empty('select * from app.v_invariants');
rollback;
