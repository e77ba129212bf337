-- A map step needs no handler of its own: a jsonpath over {intent, outputs, gates} finds its tasks.
begin;
select plan(8);

select app_test.a_recipe('map', '[{"stepId": "List"}, {"stepId": "Each", "map": {"over": "$.outputs.List.pages[*]", "queue": "sbxQ", "handler": "t/page", "maxTasks": 3}}, {"stepId": "End"}]') \g /dev/null
select app_test.a_run('g', 'map') as run_id \gset
select app_test.finish_step('{"output": {"pages": ["a", "b", "c"]}}') \g /dev/null
select is((select tasks_open || ' ' || status from app.run_steps where run_id = :'run_id' and step_id = 'Each' and task_key = ''), '3 PENDING', 'a task for each item');
create temp table task as select * from app_test.work_once('w1', 'sbxQ', 9);
select results_eq('select handler, context -> ''task'' from task order by 2', $$values ('t/page', '"a"'::jsonb), ('t/page', '"b"'), ('t/page', '"c"')$$, 'for the handler of the map');
select count(*) from app.work('w1', (select jsonb_agg(app_test.done(k, jsonb_build_object('output', context -> 'task'))) from task as k)) \g /dev/null
select is((select jsonb_path_query_array(output, '$.tasks[*].output') from app.run_steps where run_id = :'run_id' and step_id = 'Each' and task_key = ''), '["a", "b", "c"]', 'joined in order');
select is((select status from app.run_steps where run_id = :'run_id' and step_id = 'End'), 'ENQUEUED', 'and on');

select app_test.a_run('empty', 'map', '{"priority": 0}') as nothing \gset
select app_test.finish_step('{"output": {}}') \g /dev/null
select is((select output from app.run_steps where run_id = :'nothing' and step_id = 'Each'), '{"output": null, "tasks": []}', 'nothing to do is done at once');
select is((select kind from app.artifacts where run_id = :'nothing' and step_id = 'Each'), 'none', 'and leaves the artifact of one that made nothing');
select app_test.a_run('many', 'map', '{"priority": 0}') as many \gset
select app_test.finish_step('{"output": {"pages": [1, 2, 3, 4]}}'), app_test.finish_step('{"output": {"pages": [1, 2, 3, 4]}}') \g /dev/null
select is(app.get_run(:'many') #>> '{error,code}', 'too_many_tasks', 'more than the recipe allows fail the step');
select is_empty('select * from app.v_invariants');
rollback;
