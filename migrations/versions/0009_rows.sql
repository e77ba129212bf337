-- Artifacts are found by their run alone: one key a run, which the index keeps once (posting lists), is a third of the size and of the work. Runners send
-- results as rows, which need no parsing. What an attempt of a status looks like is one constraint, which costs less than six. A step is found by its
-- place: to a planner without statistics an index that began with the recipe too looked as good, and was read as far as the recipe has steps.

drop index app.artifacts_of_a_run;
create index artifacts_of_a_run on app.artifacts (run_id);

alter table app.recipe_steps
  drop constraint a_step_id_is_unique_in_its_recipe,
  add constraint a_step_id_is_unique_in_its_recipe unique (step_id, recipe_id);

create type app.result as (
  run_id     text,
  task_key   text,
  queue_name text,
  msg_id     bigint,
  read_ct    integer,
  idx        integer,
  attempt    integer,
  status     text,
  output     jsonb,
  span_id    text,
  receipt    boolean,
  tasks      jsonb,
  artifacts  jsonb,
  error      jsonb,
  wait       jsonb
);
comment on type app.result is 'A result as app.work_rows takes it: the lane and its fencing token, the attempt, and what came of it.';

alter table app.run_steps
  drop constraint an_attempt_has_a_known_status,
  drop constraint a_waiting_step_is_in_line,
  drop constraint a_running_step_has_a_lease_or_waits,
  drop constraint only_a_running_step_is_parked,
  drop constraint a_finished_step_has_an_end,
  drop constraint a_failed_step_says_why,
  add constraint an_attempt_is_what_its_status_says check (case status
    when 'ENQUEUED' then queue_seq is not null and parked_at is null and ended_at is null
    when 'PENDING' then ended_at is null and case
      when msg_id is not null then worker is not null and read_ct is not null and queue_seq is null and parked_at is null
      when queue_seq is not null then parked_at is null
      else parked_at is not null or coalesce(tasks_open, 0) > 0 end
    when 'SUCCESS' then ended_at is not null and queue_seq is null and parked_at is null
    when 'ERROR' then ended_at is not null and queue_seq is null and parked_at is null and error is not null
    when 'CANCELLED' then ended_at is not null and queue_seq is null and parked_at is null
    else false end);
