-- Receipts are of tasks: a plain step that asks for one, in whatever company, never makes a receipt that is seen twice.
begin;
select plan(3);

select app_test.a_recipe('r', '[{}, {}, {"fanOut": {"queue": "sbxQ", "handler": "t/task"}}]'), app_test.a_run('g', 'r') as run_id \gset
select app_test.finish_step('{"receipt": true}'), app_test.finish_step('{"receipt": true}'), app_test.finish_step('{"receipt": true, "tasks": [1]}'),
  app_test.finish_step('{"receipt": true}', 'sbxQ') \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'the run succeeds');
select is((select array_agg(m.task_key || m.seen_count) from app.mock_receipts as m where m.task_key <> ''), array[app.task_key(:'run_id', 'S2', '1') || '1'], 'the task has its receipt');
select is_empty('select * from app.v_invariants');
rollback;
