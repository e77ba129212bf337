-- Tasks whose outputs together are more than 64 MiB end their step as ERROR: no later step could be told them.
begin;
select plan(4);

select app_test.a_recipe('fan', '[{"stepId": "Fan", "fanOut": {"queue": "sbxQ", "handler": "t/task"}}]') \g /dev/null
create function pg_temp.joined(goal text, n integer) returns jsonb language plpgsql as $$
declare
  id text := app_test.a_run(goal, 'fan');
begin
  perform app_test.finish_step(jsonb_build_object('tasks', (select jsonb_agg(i) from generate_series(1, n) as i)));
  perform app.work_rows('w1', array(
    select row(w.run_id, w.task_key, w.queue_name, w.msg_id, w.read_ct, w.idx, w.attempt, 'SUCCESS', to_jsonb(repeat('x', 1040000)), null, null, null, null, null, null)::app.result
    from app_test.work_once(queue => 'sbxQ', n => n) as w), '{"drain": true}');
  return (select jsonb_build_object('status', s.status, 'code', s.error ->> 'code', 'tasks', jsonb_array_length(nullif(s.output -> 'tasks', 'null')))
    from app.run_steps as s where s.run_id = id and s.idx = 0 and s.task_key = '');
end $$;
select is(pg_temp.joined('small', 2), '{"status": "SUCCESS", "code": null, "tasks": 2}', 'two fit');
select is(pg_temp.joined('large', 68), '{"status": "ERROR", "code": "output_too_large", "tasks": null}', 'sixty-eight do not');
select is((select string_agg(app_test.status_of(r.run_id), ', ' order by r.created_at, r.queue_seq) from app.runs as r), 'SUCCESS, ERROR', 'and so do their runs');
select is_empty('select * from app.v_invariants');
rollback;
