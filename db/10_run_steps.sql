-- Step attempts: the truth of what ran. One row per attempt, of a step (task_key empty) or of one of its fan-out tasks.
-- ENQUEUED rows are the backlog (queue_seq is their place in line), terminal rows never change again. A PENDING row carries a lease, or waits
-- without one: for its tasks, parked for time or a human, or in line again after that.
-- The run of an attempt is checked per statement (chapter 28), not per row by a foreign key: that costs a seventh of the hot path, and
-- whoever adds an attempt has just locked its run.
-- A commit updates one row without touching an index (HOT): status is in no index, queue_seq is null before the step is running, and every
-- page keeps room for the second version of its rows.

create table app.run_steps (
  run_id        text collate "C" not null,
  idx           integer not null,
  task_key      text collate "C" not null default '',
  attempt       integer not null,
  step_id       text not null,
  status        text not null,
  queue_name    text not null,
  app_version   text collate "C" not null,
  partition_key text collate "C" not null default '',
  priority      integer not null,
  queue_seq     bigint,
  worker        text,
  msg_id        bigint,
  read_ct       integer,
  task_idx      integer,
  tasks_open    integer,
  input         jsonb,
  output        jsonb,
  error         jsonb,
  cached_from   text,
  span_id       text,
  enqueued_at   timestamptz not null,
  started_at    timestamptz,
  ended_at      timestamptz,
  lost          boolean not null default false,
  parked_at     timestamptz,
  skipped       boolean not null default false,
  primary key (run_id, idx, task_key, attempt),
  constraint an_attempt_counts_from_one check (attempt >= 1),
  constraint an_attempt_is_what_its_status_says check (case status
    when 'ENQUEUED' then queue_seq is not null and parked_at is null and ended_at is null
    when 'PENDING' then ended_at is null and case
      when msg_id is not null then worker is not null and read_ct is not null and queue_seq is null and parked_at is null
      when queue_seq is not null then parked_at is null
      else parked_at is not null or coalesce(tasks_open, 0) > 0 end
    when 'SUCCESS' then ended_at is not null and queue_seq is null and parked_at is null
    when 'ERROR' then ended_at is not null and queue_seq is null and parked_at is null and error is not null
    when 'CANCELLED' then ended_at is not null and queue_seq is null and parked_at is null
    else false end),
  constraint a_task_knows_its_place check ((task_key = '') = (task_idx is null))
) with (fillfactor = 45);
create index backlog_in_line on app.run_steps (queue_name, app_version, partition_key, priority, queue_seq, task_idx)
  where queue_seq is not null;
comment on table app.run_steps is 'Step attempts, append-only: a retry is a new row.';
comment on column app.run_steps.run_id is 'The run.';
comment on column app.run_steps.idx is '0-based position of the step in the recipe.';
comment on column app.run_steps.task_key is 'Empty for the step itself; for a fan-out task the sha256 of canonical {runId, stepId, task}.';
comment on column app.run_steps.attempt is 'From 1.';
comment on column app.run_steps.step_id is 'Name of the step.';
comment on column app.run_steps.status is 'ENQUEUED, PENDING, SUCCESS, ERROR or CANCELLED.';
comment on column app.run_steps.queue_name is 'The queue it waits on, or holds its lease on.';
comment on column app.run_steps.app_version is 'Copied from the run.';
comment on column app.run_steps.partition_key is 'Copied from the run.';
comment on column app.run_steps.priority is 'Copied from the run.';
comment on column app.run_steps.queue_seq is 'Place in line while ENQUEUED, and of a PENDING attempt that woke up; else null.';
comment on column app.run_steps.worker is 'Who claimed it.';
comment on column app.run_steps.msg_id is 'The lease: id of the pgmq message in the queue of the same name.';
comment on column app.run_steps.read_ct is 'The other half of the fencing token.';
comment on column app.run_steps.task_idx is 'Position among the tasks of the step.';
comment on column app.run_steps.tasks_open is 'Of a step that fanned out: tasks that are not final yet.';
comment on column app.run_steps.input is 'The task as the step made it.';
comment on column app.run_steps.output is 'What the handler returned.';
comment on column app.run_steps.error is '{code, message, retryable?, details?}';
comment on column app.run_steps.cached_from is 'Run whose result a fork reused.';
comment on column app.run_steps.span_id is '16 hex digits.';
comment on column app.run_steps.enqueued_at is 'When it became ready.';
comment on column app.run_steps.started_at is 'When a worker got it.';
comment on column app.run_steps.ended_at is 'When it became terminal.';
comment on column app.run_steps.lost is 'True when its worker was lost or gave it back: it does not count against the retry policy.';
comment on column app.run_steps.parked_at is 'Since when it sleeps, or waits for a gate that its handler opened: PENDING without a worker.';
comment on column app.run_steps.skipped is 'True when its condition was not met: SUCCESS without having run.';

-- What a handler has done so far: code that ran before a crash is not run again.

create table app.checkpoints (
  run_id     text collate "C" not null references app.runs,
  idx        integer not null,
  task_key   text collate "C" not null default '',
  seq        integer not null,
  kind       text not null,
  name       text not null,
  value      jsonb,
  attempt    integer not null,
  created_at timestamptz not null,
  primary key (run_id, idx, task_key, seq),
  constraint a_checkpoint_has_a_known_kind check (kind in ('step', 'sleep', 'gate', 'emit')),
  constraint a_checkpoint_counts_from_zero check (seq >= 0)
);
comment on table app.checkpoints is 'Checkpoints inside a handler, in the order in which its code reached them; a new attempt replays them.';
comment on column app.checkpoints.run_id is 'The run.';
comment on column app.checkpoints.idx is 'Index of the step.';
comment on column app.checkpoints.task_key is 'The task; empty for the step itself.';
comment on column app.checkpoints.seq is '0-based order.';
comment on column app.checkpoints.kind is 'step (a result), sleep, gate or emit (an artifact).';
comment on column app.checkpoints.name is 'Name that the code gave it; another one at the same place is a determinism error.';
comment on column app.checkpoints.value is 'Result of a step; {wakeAt} (epoch ms) of a sleep; {artifactId} of an emit.';
comment on column app.checkpoints.attempt is 'Attempt that reached it first.';
comment on column app.checkpoints.created_at is 'When it was committed (engine clock).';

-- The rows that the runners' verbs exchange. A type is state: it changes only with a revision.

create type app.assignment as (
  outcome    text,
  run_id     text,
  step_id    text,
  idx        integer,
  task_key   text,
  attempt    integer,
  queue_name text,
  msg_id     bigint,
  read_ct    integer,
  handler    text,
  timeout_ms integer,
  context    jsonb,
  reason     text
);
comment on type app.assignment is 'A row of app.work: assigned (a new lane), continued (the next step of a lane the worker keeps) or refused (a result that was fenced off).';

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

create type app.lane_result as (
  run_id     text,
  idx        integer,
  task_key   text,
  attempt    integer,
  step_id    text,
  queue_name text,
  msg_id     bigint,
  read_ct    integer,
  status     text,
  output     jsonb,
  artifacts  jsonb,
  tasks      jsonb,
  receipt    boolean,
  error      jsonb,
  span_id    text,
  run_status text,
  recipe_id  bigint,
  is_chain   boolean,
  app_version   text,
  partition_key text,
  priority      integer
);
comment on type app.lane_result is 'One accepted result inside app.work, with what the commit needs to know of its run.';

create type app.lease as (
  queue_name text,
  msg_id     bigint,
  read_ct    integer,
  expires_at timestamptz,
  run_id     text,
  task_key   text,
  partition_key text,
  worker     text,
  granted_at timestamptz
);
comment on type app.lease is 'A pgmq message of a queue: who may work on which step until when.';

create type app.explanation as (
  run_id  text,
  status  text,
  why     text,
  held_by text,
  since   timestamptz,
  next_at timestamptz,
  unblock text
);
comment on type app.explanation is 'Why a run is not moving: what it waits for, who holds that, since when, what comes by itself, and what would unblock it.';
