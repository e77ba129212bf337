-- Grants: who may do what, on one page. PUBLIC may do nothing, nobody has DML on a table.
--
--   app_api     starts, reads, answers gates, controls  a shim, an application
--   app_worker  claims and commits                      a runner
--   app_ops     recipes, schedules, queues, settings    a person on duty
--   app_read    the oracles                             a dashboard

revoke all on schema app from public;
revoke all on all tables in schema app from public;
revoke all on all sequences in schema app from public;
revoke all on all routines in schema app from public;

-- without this, a login could shadow a type of a definer function with a temporary one of the same name
do $$
begin
  execute format('revoke temporary on database %I from public', current_database());
end
$$;

grant usage on schema app to app_api, app_worker, app_ops, app_read;

grant execute on function
  app.create_intent(jsonb), app.start_run(text, jsonb), app.start_runs(jsonb), app.sleep_run(text, bigint),
  app.approve_plan(text, text, text, text, text, text), app.reply_gate(text, text, jsonb, text, text, text),
  app.cancel_run(text, text, text, boolean), app.resume_run(text, text, text, boolean), app.repair_run(text, text, text, boolean),
  app.fork_run(text, integer, text, text, text, jsonb, boolean),
  app.cancel_batch(jsonb, text, text, boolean), app.resume_batch(jsonb, text, text, boolean), app.repair_batch(jsonb, text, text, boolean),
  app.fork_batch(jsonb, integer, text, text, text, jsonb, boolean), app.redrive(text, text, text, integer, boolean)
to app_api, app_ops;
grant execute on function
  app.get_run(text), app.get_steps(text), app.get_artifact(bigint), app.list_artifacts(text), app.list_gates(text), app.list_runs(jsonb), app.explain_run(text), app.fork_diff(text, text), app.now()
to app_api, app_worker, app_ops, app_read;
grant execute on function
  app.work(text, jsonb, jsonb), app.work_rows(text, app.result[], jsonb), app.heartbeat(text, jsonb), app.release(text, jsonb),
  app.checkpoint(text, jsonb, jsonb), app.register_worker(text, jsonb), app.retire_worker(text),
  app.take_ends(integer), app.forget_ends(bigint[]), app.shrink_queues(bigint)
to app_worker;
grant execute on function
  app.put_recipe(jsonb), app.activate_recipe(text, integer), app.set_queue_partitioning(boolean), app.put_setting(text, jsonb),
  app.pause_queue(text, text, text, boolean), app.unpause_queue(text, text, text, boolean), app.pause_partition(text, text, text, text, boolean),
  app.unpause_partition(text, text, text, text, boolean), app.set_limits(text, jsonb, text, text, boolean), app.set_partition(text, text, jsonb, text, text, boolean), app.recover(),
  app.purge_runs(interval, text, text, text[], integer, boolean)
to app_ops;
grant execute on function
  app.pause_queue(text, text, text, boolean), app.unpause_queue(text, text, text, boolean),
  app.pause_partition(text, text, text, text, boolean), app.unpause_partition(text, text, text, text, boolean)
to app_api; -- from the board
grant execute on function
  app.put_schedule(jsonb, text, text, boolean), app.pause_schedule(text, text, text, boolean), app.unpause_schedule(text, text, text, boolean),
  app.delete_schedule(text, text, text, boolean)
to app_ops;
grant execute on function
  app.cron_next(text, text, timestamptz), app.cron_previous(text, text, timestamptz), app.cron_ticks(text, text, timestamptz, integer)
to app_api, app_ops, app_read;
grant select on app.v_schedules to app_api, app_ops, app_read;
grant execute on function app.arguments(text, jsonb, jsonb, jsonb) to app_api, app_ops;
grant execute on function app.queue_depth(), app.health(), app.gauges() to app_api, app_worker, app_ops, app_read;
grant execute on function
  app.page_run(text), app.page_tasks(text, integer, integer), app.page_step(text, integer, text), app.gate_exhibits(text, text),
  app.search_runs(jsonb), app.page_ops(), app.page_queues(text), app.page_recipes(), app.page_recipe(text, integer), app.page_charts()
to app_api, app_ops, app_read;
grant select on app.v_arguments to app_api;
-- a view's functions run with the rights of whoever reads it
grant execute on function app.leases(), app.is_alive(app.workers), app.counted(app.gates, text), app.answer_with(app.gates), app.name_by_content(text), app.runner_command(text, text) to app_read, app_ops;
grant select on app.v_arguments, app.v_run_timeline, app.v_ops_queue_depth, app.v_ops_queue_fairness, app.v_ops_workers, app.v_gates_open, app.v_state_machine, app.v_recipes, app.v_invariants,
  app.v_ops_inbox, app.v_ops_failures_24h, app.v_ops_slow_steps
to app_read, app_ops;

revoke all on schema dbos from public;
revoke all on all tables in schema dbos from public;
grant usage on schema dbos to app_read, app_ops;
grant select on dbos.workflow_status, dbos.operation_outputs to app_read, app_ops;
