-- Of tasks that fail in one call, those that are given up anyway take nothing of the budget from the others.
begin;
select plan(4);

select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task", "retry": {"maxAttempts": 2, "backoff": {"initialMS": 0}}}}]') \g /dev/null
create function pg_temp.outcome(goal text, retryable boolean[]) returns text language plpgsql as $$
declare
  id text := app_test.a_run(goal, 'fan', '{"budget": {"attempts": 4}}');
begin
  perform app_test.finish_step('{"tasks": [0, 1]}');
  perform app.work('w1', (
    select jsonb_agg(app_test.failed(w, 'broken', jsonb_build_object('retryable', retryable[1 + (w.context ->> 'task')::integer])) order by w.context -> 'task')
    from app_test.work_once(queue => 'sbxQ', n => 9) as w where w.run_id = id), '{}');
  return (select string_agg(concat_ws(' ', s.input, s.status), ', ' order by s.input, s.attempt) from app.run_steps as s where s.run_id = id and s.task_key <> '');
end $$;
-- the step and two tasks: one attempt is left
select is(pg_temp.outcome('the second', '{f,t}'), '0 ERROR, 1 ERROR, 1 ENQUEUED', 'behind one that is given up');
select is(pg_temp.outcome('the first', '{t,f}'), '0 ERROR, 0 ENQUEUED, 1 ERROR', 'before one that is given up');
select is(pg_temp.outcome('both', '{t,t}'), '0 ERROR, 0 ENQUEUED, 1 ERROR', 'of two that may be tried again only one');
select is_empty('select * from app.v_invariants');
rollback;
