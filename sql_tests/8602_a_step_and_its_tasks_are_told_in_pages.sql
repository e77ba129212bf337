-- page_step: attempts with input, output and artifacts. page_tasks: 100 at a time.
begin;
select plan(11);
select app_test.a_recipe('many', '[{"stepId": "SpreadST", "fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 200}}]') \g /dev/null
create temp table run as select app_test.a_run('spread', 'many') as id;
select app_test.finish_step(jsonb_build_object('artifacts', '[{"kind": "decision", "name": "d.json", "inline": {"a": 1}}]'::jsonb,
  'tasks', (select jsonb_agg(jsonb_build_object('cmd', jsonb_build_array('check', n))) from generate_series(0, 149) as n))) \g /dev/null

create temp table page as select app.page_tasks(id, 0) as first, app.page_tasks(id, 0, 99) as second from run;
select is(jsonb_array_length(first -> 'tasks'), 100, 'a page has 100') from page;
select is((first ->> 'next')::integer, 99, 'and says where the next begins') from page;
select is(jsonb_array_length(second -> 'tasks'), 50, 'the next has the rest') from page;
select is(second -> 'next', 'null', 'and is the last') from page;
select is((first ->> 'total')::integer, 150, 'the total is told') from page;
select is(second #>> '{tasks,0,input}', '["check", 100]', 'a task shows its command') from page;

create temp table step as select app.page_step(id, 0) as told from run;
select is(told #>> '{attempts,0,artifacts,0,kind}', 'decision', 'a step shows its artifacts') from step;
select is(app.page_step(id, 0, app.page_tasks(id, 0) #>> '{tasks,0,taskKey}') #>> '{attempts,0,input,cmd,1}', '0', 'a task its input') from run;
select is(app_test.error_of(format('select app.page_step(%L, 7)', id)) ->> 'code', 'step_not_found', 'no such step') from run;
select is(app_test.error_of(format('select app.page_step(%L, 0, ''nope'')', id)) ->> 'code', 'step_not_found', 'no such task') from run;
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
