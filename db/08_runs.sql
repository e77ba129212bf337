-- Runs: one execution of a recipe for an intent, and the table of legal transitions for runs and steps.
-- The row is narrow and changes rarely: at its first claim, at a gate, at its end. Everything a step does is in app.run_steps.

create sequence app.queue_position;
comment on sequence app.queue_position is 'Order of arrival of runs; a run keeps its place in every queue it passes.';

create table app.runs (
  run_id         text collate "C" primary key,
  intent_id      text collate "C" not null,
  recipe_id      bigint not null,
  status         text not null default 'ENQUEUED',
  queue_name     text not null,
  partition_key  text collate "C" not null default '',
  lane           text not null default 'interactive',
  priority       integer not null default 1,
  queue_seq      bigint not null default nextval('app.queue_position'),
  app_version    text not null,
  trace_id       text not null,
  tenant_id      text,
  oc_mode        text not null,
  sbx_mode       text not null,
  workload       jsonb,
  budget         jsonb,
  timeout_ms     bigint,
  forked_from    text collate "C" references app.runs,
  fork_step      integer,
  root_id        text collate "C" references app.runs,
  error          jsonb,
  created_at     timestamptz not null,
  started_at     timestamptz,
  updated_at     timestamptz not null,
  ended_at       timestamptz,
  reopened_at    timestamptz,
  is_chain       boolean not null default true,
  started_by     text,
  constraint a_run_has_a_known_status check (
    status in ('ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')),
  constraint a_terminal_run_has_an_end check (
    (status in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')) = (ended_at is not null)),
  constraint a_failed_run_says_why check (status not in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') or error is not null),
  constraint a_working_run_has_started check (status <> 'PENDING' or started_at is not null),
  constraint a_lane_is_interactive_or_batch check (lane in ('interactive', 'batch')),
  constraint a_fork_knows_its_source check ((forked_from is null) = (fork_step is null) and (forked_from is null) = (root_id is null))
) with (fillfactor = 80);
create index runs_by_status_newest_first on app.runs (status, created_at desc);
create index runs_that_failed on app.runs (ended_at) where status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
create index forks_of_a_root on app.runs (root_id) where root_id is not null;
create index forks_of_a_run on app.runs (forked_from) where forked_from is not null;
comment on table app.runs is 'Runs. Only the functions of the transitions chapter write status.';
comment on column app.runs.run_id is 'workflowID: the intent id, <root>-f<N> of a fork, or the caller''s own of a sleep.';
comment on column app.runs.intent_id is 'What is wanted.';
comment on column app.runs.recipe_id is 'The recipe version, pinned at start.';
comment on column app.runs.status is 'ENQUEUED, PENDING, WAITING_INPUT, SUCCESS, ERROR, CANCELLED or MAX_RECOVERY_ATTEMPTS_EXCEEDED.';
comment on column app.runs.queue_name is 'The queue the run started on.';
comment on column app.runs.partition_key is 'queuePartitionKey; empty when the queue is not partitioned and none was given.';
comment on column app.runs.lane is 'interactive or batch.';
comment on column app.runs.priority is 'Lower goes first within a partition.';
comment on column app.runs.queue_seq is 'Place in line, kept for life.';
comment on column app.runs.app_version is 'Only workers of this version claim its steps.';
comment on column app.runs.trace_id is '32 hex digits; one trace per run.';
comment on column app.runs.tenant_id is 'Whose run it is; a label.';
comment on column app.runs.oc_mode is 'Planner mode, pinned at start: replay, record or live.';
comment on column app.runs.sbx_mode is 'Sandbox mode, pinned at start: mock or live.';
comment on column app.runs.workload is 'What the caller expects to need {steps, tasks, attempts}.';
comment on column app.runs.budget is 'What the run may use {steps, tasks, attempts}.';
comment on column app.runs.timeout_ms is 'The run fails when it is not terminal this long after its start.';
comment on column app.runs.forked_from is 'Source of a fork.';
comment on column app.runs.fork_step is 'First step that the fork runs again.';
comment on column app.runs.root_id is 'Where the forks began: fork ids count per root.';
comment on column app.runs.error is '{code, message, stepID?, …} of a run that did not succeed.';
comment on column app.runs.created_at is 'Start call (engine clock).';
comment on column app.runs.started_at is 'First claim.';
comment on column app.runs.updated_at is 'Last change of this row.';
comment on column app.runs.ended_at is 'When it became terminal.';
comment on column app.runs.reopened_at is 'Last resume or repair: attempts before it do not count against the retry policy.';
comment on column app.runs.is_chain is 'Copied from the recipe: a chain of steps, or a graph.';
comment on column app.runs.started_by is 'Who started it, as given; a gate without self approval wants it.';

create type app.start_request as (
  ord            bigint,
  run_id         text,
  recipe_name    text,
  recipe_version integer,
  recipe_id      bigint,
  recipe_status  text,
  queue_name     text,
  partition_key  text,
  lane           text,
  priority       integer,
  workload       jsonb,
  budget         jsonb,
  timeout_ms     bigint,
  trace_id       text,
  tenant_id      text,
  app_version    text,
  oc_mode        text,
  sbx_mode       text,
  started_by     text,
  is_chain       boolean
);
comment on type app.start_request is 'One start as it was asked for, with its defaults, and the recipe version it would take.';

create table app.run_transitions (
  entity      text not null,
  from_status text not null,
  to_status   text not null,
  action      text not null,
  primary key (entity, from_status, to_status),
  constraint a_transition_is_of_a_run_or_a_step check (entity in ('run', 'step'))
);
comment on table app.run_transitions is 'The legal transitions. Triggers refuse every other one with PT409, for every writer.';
comment on column app.run_transitions.entity is 'run, or step (an attempt of a step or of a task).';
comment on column app.run_transitions.from_status is 'Status before; empty for a new row.';
comment on column app.run_transitions.to_status is 'Status after.';
comment on column app.run_transitions.action is 'What does it.';

insert into app.run_transitions (entity, from_status, to_status, action) values
  ('run', '', 'ENQUEUED', 'start'),
  ('run', 'ENQUEUED', 'PENDING', 'claim'),
  ('run', 'ENQUEUED', 'ERROR', 'timeout'),
  ('run', 'ENQUEUED', 'CANCELLED', 'cancel'),
  ('run', 'PENDING', 'WAITING_INPUT', 'open gate'),
  ('run', 'PENDING', 'SUCCESS', 'last step done'),
  ('run', 'PENDING', 'ERROR', 'step failed, or timeout'),
  ('run', 'PENDING', 'CANCELLED', 'cancel'),
  ('run', 'PENDING', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'worker lost too often'),
  ('run', 'WAITING_INPUT', 'PENDING', 'reply'),
  ('run', 'WAITING_INPUT', 'ERROR', 'reply no, gate expired, or timeout'),
  ('run', 'WAITING_INPUT', 'CANCELLED', 'cancel, or gate expired'),
  ('run', 'WAITING_INPUT', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'worker lost too often'),
  ('run', 'CANCELLED', 'ENQUEUED', 'resume'),
  ('run', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'ENQUEUED', 'resume'),
  ('run', 'ERROR', 'ENQUEUED', 'repair'),
  ('step', '', 'ENQUEUED', 'enter step, fan out, retry'),
  ('step', '', 'PENDING', 'next step of a lane, sleep, map'),
  ('step', '', 'SUCCESS', 'fork, cached; or skipped'),
  ('step', 'ENQUEUED', 'PENDING', 'claim'),
  ('step', 'ENQUEUED', 'CANCELLED', 'run ended'),
  ('step', 'PENDING', 'SUCCESS', 'commit'),
  ('step', 'PENDING', 'ERROR', 'commit, or lease lost'),
  ('step', 'PENDING', 'CANCELLED', 'run ended');
