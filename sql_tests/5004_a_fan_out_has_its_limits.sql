-- No tasks, too many tasks, tasks beyond the budget, tasks where the recipe has no fan-out.
begin;
select plan(16);

select app_test.the_four_steps(), app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 3}}]'), app_test.a_recipe() \g /dev/null
create function pg_temp.outcome(goal text, recipe text, tasks jsonb, options jsonb default '{}') returns text language plpgsql as $$
declare
  id text := app_test.a_run(goal, recipe, options);
begin
  perform app_test.finish_step(jsonb_build_object('tasks', tasks, 'artifacts', '[{"kind": "decision", "name": "d", "inline": 1}]'::jsonb));
  return (select concat_ws(' ', r.status, r.error ->> 'code', (select count(*) from app.run_steps as s where s.run_id = id and s.task_key <> '')) from app.runs as r where r.run_id = id);
end $$;
select is(pg_temp.outcome('none', 'fan', '[]'), 'SUCCESS 0', 'zero tasks: the step is over at once');
select is(pg_temp.outcome('null', 'fan', 'null'), 'SUCCESS 0', 'null is none');
select is(pg_temp.outcome('max', 'fan', '[1, 2, 3]'), 'PENDING 3', 'as many as maxTasks');
select is(pg_temp.outcome('many', 'fan', '[1, 2, 3, 4]'), 'ERROR too_many_tasks 0', 'one more than maxTasks');
select is(pg_temp.outcome('budget', 'fan', '[1, 2]', '{"budget": {"tasks": 2}}'), 'PENDING 2', 'as many as the budget');
select is(pg_temp.outcome('over', 'fan', '[1, 2, 3]', '{"budget": {"tasks": 2}}'), 'ERROR budget_violation 0', 'one more than the budget');
select is(pg_temp.outcome('nowhere', 'plain', '[1]'), 'ERROR tasks_not_expected 0', 'tasks without a fan-out');
select is((select count(*) from app.artifacts where step_idx = 0 and kind = 'decision'), 7::bigint, 'the artifacts are kept all the same');
select is((select count(*) from app_test.work_once(queue => 'sbxQ', n => 99)), 5::bigint, 'only accepted tasks are in line');

create temp table task as select s.*, s.status as outcome from app.run_steps as s where s.task_key <> '' and s.run_id = app_test.an_intent('max') and s.input = '1';
select is_empty($$select w.* from task, app_test.report(app_test.done(task, '{"tasks": [9]}')) as w$$, 'a task makes no tasks');
select is((select error ->> 'code' from app.run_steps where input = '1' and run_id = app_test.an_intent('max')), 'tasks_not_expected', 'it fails');
select is((select tasks_open from app.run_steps where run_id = app_test.an_intent('max') and task_key = ''), 2, 'and is counted off');
select is_empty($$select from app.run_steps where input = '9'$$, 'the task it made is nowhere');

-- duplicates count before they are merged
select is(pg_temp.outcome('twice', 'fan', '[{"a": 1, "b": 2}, {"b": 2.0, "a": 1}]'), 'PENDING 1', 'equal JSON is the same task');
select is((select tasks_open from app.run_steps where run_id = app_test.an_intent('twice') and task_key = ''), 1, 'and waited for once');
select is_empty('select * from app.v_invariants');
rollback;
