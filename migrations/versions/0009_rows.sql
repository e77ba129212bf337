-- Artifacts are found by their run alone: one key a run, which the index keeps once (posting lists), is a third of the size and of the work. Runners send
-- results as rows, which need no parsing.

drop index app.artifacts_of_a_run;
create index artifacts_of_a_run on app.artifacts (run_id);

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
