-- A timeout in the middle of a fan-out: tasks in line are cancelled, one in flight may commit.
begin;
select plan(7);

select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {}]'), app_test.a_run('g', 'fan', '{"timeoutMS": 60000}') as run_id \gset
select app_test.finish_step('{"tasks": [1, 2, 3]}') \g /dev/null
create temp table task as select * from app_test.work_once(queue => 'sbxQ');
select app.advance('1 minute'), app_test.recover() \g /dev/null
select is(app_test.status_of(:'run_id'), 'ERROR', 'the run is over');
select is((select array_agg(status order by task_idx nulls first) from app.run_steps), array['CANCELLED', 'PENDING', 'CANCELLED', 'CANCELLED'], 'all that could start is cancelled');
select is_empty($$select * from app_test.work_once(queue => 'sbxQ', n => 5)$$, 'nothing to claim');
select is_empty($$select w.* from task, app_test.report(app_test.done(task)) as w$$, 'the task in flight commits');
select is((select status from app.run_steps where task_idx = 0), 'SUCCESS', 'and is kept');
select is(app_test.status_of(:'run_id') || (select count(*) from app.run_steps where idx = 1), 'ERROR0', 'nothing follows');
select is_empty('select * from app.v_invariants');
rollback;
