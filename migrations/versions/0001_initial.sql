-- 00_schema.sql

-- The schema, its roles and its settings.
-- Roles are shared by all databases of a server, so they are made only where they are missing.

create schema if not exists app;
comment on schema app is 'Sisu-Kodo: a durable workflow engine. Functions are the only way in; views are the oracles; app.v_invariants is empty when every promise holds.';

do $$
declare
  r text;
begin
  foreach r in array array['app_api', 'app_worker', 'app_ops', 'app_read'] loop
    if not exists (select 1 from pg_catalog.pg_roles where rolname = r) then
      begin
        execute format('create role %I nologin', r);
      exception when duplicate_object or unique_violation then
        null; -- another database of this server made it in the same moment
      end;
    end if;
  end loop;
end
$$;

create table app.settings (
  key        text primary key,
  value      jsonb not null,
  updated_at timestamptz not null default clock_timestamp()
);
comment on table app.settings is 'Engine-wide settings, one row each. Change them with app.put_setting.';
comment on column app.settings.key is 'default_recipe, oc_mode, sbx_mode, app_version; clock_offset (seconds; only app.advance writes it); code_hash, code_objects (the replay)';
comment on column app.settings.value is 'Any JSON; its shape belongs to the key.';
comment on column app.settings.updated_at is 'When the value was last written.';

insert into app.settings (key, value) values
  ('oc_mode', '"replay"'),
  ('sbx_mode', '"mock"'),
  ('app_version', '"0.1.0"');

-- 02_queues.sql

-- Queues: what waits for a worker, and under which rules. Each row has a pgmq queue of the same name that holds its leases.

create table app.queues (
  queue_name     text primary key,
  partitioned    boolean not null default false,
  lease_seconds  integer not null default 30,
  max_recoveries integer not null default 5,
  constraint a_queue_has_a_plain_name check (queue_name ~ '^[A-Za-z][A-Za-z0-9_]{0,39}$'),
  constraint a_lease_lasts_between_a_second_and_a_day check (lease_seconds between 1 and 86400),
  constraint recoveries_are_counted_from_zero check (max_recoveries between 0 and 1000)
);
create unique index a_queue_name_is_unique_in_any_case on app.queues (lower(queue_name));
comment on table app.queues is 'Queues and their rules.';
comment on column app.queues.queue_name is 'Name, also of the pgmq queue that holds the leases.';
comment on column app.queues.partitioned is 'True: every run on this queue must carry a queuePartitionKey.';
comment on column app.queues.lease_seconds is 'How long a claimed step stays with a worker that gives no sign of life.';
comment on column app.queues.max_recoveries is 'How many times in a row a step may lose its worker before the run is MAX_RECOVERY_ATTEMPTS_EXCEEDED.';

insert into app.queues (queue_name) values ('intentQ'), ('sbxQ'), ('controlQ');

-- 04_recipes.sql

-- Recipes: what a run does, as data. A version is written once and never changed; one version of a name is active.

create table app.recipes (
  recipe_id    bigint generated always as identity primary key,
  name         text not null,
  version      integer not null,
  status       text not null default 'draft',
  body         jsonb not null,
  body_sha256  text not null,
  settings     jsonb not null default '{}',
  queue_name   text not null references app.queues,
  created_at   timestamptz not null default clock_timestamp(),
  activated_at timestamptz,
  constraint a_recipe_version_exists_once unique (name, version),
  constraint a_recipe_version_counts_from_one check (version >= 1),
  constraint a_recipe_is_draft_active_or_retired check (status in ('draft', 'active', 'retired')),
  constraint an_active_recipe_was_activated check ((status = 'draft') = (activated_at is null))
);
create unique index one_active_version_per_recipe on app.recipes (name) where status = 'active';
comment on table app.recipes is 'Recipe versions. A version is immutable; activate_recipe chooses the one that new runs take.';
comment on column app.recipes.recipe_id is 'Surrogate key; runs pin it.';
comment on column app.recipes.name is 'Recipe name.';
comment on column app.recipes.version is 'Version, from 1.';
comment on column app.recipes.status is 'draft, active or retired.';
comment on column app.recipes.body is 'The recipe as given, without its version.';
comment on column app.recipes.body_sha256 is 'sha256 of the canonical JSON of body.';
comment on column app.recipes.settings is 'What the handlers read; the engine does not look inside.';
comment on column app.recipes.queue_name is 'The queue on which runs of this recipe start.';
comment on column app.recipes.created_at is 'When the version was put.';
comment on column app.recipes.activated_at is 'When the version was last activated.';

create table app.recipe_steps (
  recipe_id          bigint not null references app.recipes on delete cascade,
  idx                integer not null,
  step_id            text not null,
  handler            text not null,
  queue_name         text not null references app.queues,
  max_attempts       integer not null default 1,
  backoff_initial_ms bigint not null default 0,
  backoff_factor     double precision not null default 2,
  backoff_max_ms     bigint not null default 60000,
  retryable_codes    text[] not null default '{}',
  timeout_ms         integer,
  gate_key           text,
  gate_kind          text,
  gate_title         text,
  gate_ttl_ms        bigint,
  fan_queue          text references app.queues,
  fan_handler        text,
  fan_max_tasks      integer,
  fan_max_attempts   integer,
  fan_backoff_initial_ms bigint,
  fan_backoff_factor double precision,
  fan_backoff_max_ms bigint,
  fan_retryable_codes text[],
  fan_timeout_ms     integer,
  primary key (recipe_id, idx),
  constraint a_step_id_is_unique_in_its_recipe unique (recipe_id, step_id),
  constraint a_gate_key_is_unique_in_its_recipe unique (recipe_id, gate_key),
  constraint a_gate_has_a_kind check ((gate_key is null) = (gate_kind is null)),
  constraint a_gate_asks_for_approval_or_input check (gate_kind in ('approval', 'input')),
  constraint a_fan_out_has_a_queue_and_a_handler check (
    (fan_queue is null) = (fan_handler is null) and (fan_queue is null) = (fan_max_tasks is null))
);
comment on table app.recipe_steps is 'The steps of a recipe version, derived from its body by put_recipe: one row per step, in order.';
comment on column app.recipe_steps.recipe_id is 'The recipe version.';
comment on column app.recipe_steps.idx is '0-based position.';
comment on column app.recipe_steps.step_id is 'Name of the step, unique in the recipe.';
comment on column app.recipe_steps.handler is 'Name under which a runner finds the code.';
comment on column app.recipe_steps.queue_name is 'Queue of the step.';
comment on column app.recipe_steps.max_attempts is 'Attempts in all; lost workers do not count.';
comment on column app.recipe_steps.backoff_initial_ms is 'Wait before the second attempt; 0 retries at once.';
comment on column app.recipe_steps.backoff_factor is 'Each further wait is this many times longer.';
comment on column app.recipe_steps.backoff_max_ms is 'Longest wait.';
comment on column app.recipe_steps.retryable_codes is 'Error codes that are retried besides those a handler marks retryable.';
comment on column app.recipe_steps.timeout_ms is 'The runner gives up an attempt after this long; null never.';
comment on column app.recipe_steps.gate_key is 'A gate of this name opens before the step; null none.';
comment on column app.recipe_steps.gate_kind is 'approval (the reply carries decision yes or no) or input (any object).';
comment on column app.recipe_steps.gate_title is 'What a human reads at the gate.';
comment on column app.recipe_steps.gate_ttl_ms is 'An unanswered gate fails the run after this long; null never.';
comment on column app.recipe_steps.fan_queue is 'The step fans out: queue of its tasks; null does not.';
comment on column app.recipe_steps.fan_handler is 'Handler of one task.';
comment on column app.recipe_steps.fan_max_tasks is 'Most tasks one run may make here.';
comment on column app.recipe_steps.fan_max_attempts is 'As max_attempts, for a task.';
comment on column app.recipe_steps.fan_backoff_initial_ms is 'As backoff_initial_ms, for a task.';
comment on column app.recipe_steps.fan_backoff_factor is 'As backoff_factor, for a task.';
comment on column app.recipe_steps.fan_backoff_max_ms is 'As backoff_max_ms, for a task.';
comment on column app.recipe_steps.fan_retryable_codes is 'As retryable_codes, for a task.';
comment on column app.recipe_steps.fan_timeout_ms is 'As timeout_ms, for a task.';

-- 06_intents.sql

-- Intents: what somebody wants, named by its content. The id is the hash, so the same intent is one row for ever.

create table app.intents (
  intent_id  text collate "C" primary key,
  body       jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint an_intent_id_is_its_hash check (intent_id like 'ih\_%' and length(intent_id) = 67)
);
comment on table app.intents is 'Intents as given, one row per content.';
comment on column app.intents.intent_id is 'ih_ and the hex sha256 of the canonical JSON of body.';
comment on column app.intents.body is '{goal, inputs, constraints, connectors?}';
comment on column app.intents.created_at is 'When it was first created.';

-- 08_runs.sql

-- Runs: one execution of a recipe for an intent, and the table of legal transitions for runs and steps.
-- The row is narrow and changes rarely: at its first claim, at a gate, at its end. Everything a step does is in app.run_steps.

create sequence app.queue_position;
comment on sequence app.queue_position is 'Order of arrival of runs; a run keeps its place in every queue it passes.';

create table app.runs (
  run_id         text collate "C" primary key,
  intent_id      text collate "C" not null references app.intents,
  recipe_id      bigint not null references app.recipes,
  status         text not null default 'ENQUEUED',
  queue_name     text not null references app.queues,
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
create index forks_of_a_root on app.runs (root_id) where root_id is not null;
comment on table app.runs is 'Runs. Only the functions of the transitions chapter write status.';
comment on column app.runs.run_id is 'workflowID: the intent id, or <root>-f<N> of a fork.';
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
  ('run', 'WAITING_INPUT', 'CANCELLED', 'cancel'),
  ('run', 'CANCELLED', 'ENQUEUED', 'resume'),
  ('run', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'ENQUEUED', 'resume'),
  ('run', 'ERROR', 'ENQUEUED', 'repair'),
  ('step', '', 'ENQUEUED', 'enter step, fan out, retry'),
  ('step', '', 'PENDING', 'next step of a lane'),
  ('step', '', 'SUCCESS', 'fork, cached'),
  ('step', 'ENQUEUED', 'PENDING', 'claim'),
  ('step', 'ENQUEUED', 'CANCELLED', 'run ended'),
  ('step', 'PENDING', 'SUCCESS', 'commit'),
  ('step', 'PENDING', 'ERROR', 'commit, or lease lost'),
  ('step', 'PENDING', 'CANCELLED', 'run ended');

-- 10_run_steps.sql

-- Step attempts: the truth of what ran. One row per attempt, of a step (task_key empty) or of one of its fan-out tasks.
-- ENQUEUED rows are the backlog (queue_seq is their place in line), PENDING rows carry a lease, terminal rows never change again.
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
  primary key (run_id, idx, task_key, attempt),
  constraint an_attempt_has_a_known_status check (status in ('ENQUEUED', 'PENDING', 'SUCCESS', 'ERROR', 'CANCELLED')),
  constraint an_attempt_counts_from_one check (attempt >= 1),
  constraint a_waiting_step_is_in_line check ((status = 'ENQUEUED') = (queue_seq is not null)),
  constraint a_running_step_has_a_lease_or_open_tasks check (
    status <> 'PENDING' or coalesce(tasks_open, 0) > 0 or (worker is not null and msg_id is not null and read_ct is not null)),
  constraint a_finished_step_has_an_end check ((status in ('SUCCESS', 'ERROR', 'CANCELLED')) = (ended_at is not null)),
  constraint a_failed_step_says_why check (status <> 'ERROR' or error is not null),
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
comment on column app.run_steps.queue_seq is 'Place in line while ENQUEUED, else null.';
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
  recipe_id  bigint
);
comment on type app.lane_result is 'One accepted result inside app.work, with what the commit needs to know of its run.';

create type app.lease as (
  queue_name text,
  msg_id     bigint,
  read_ct    integer,
  expires_at timestamptz,
  run_id     text,
  task_key   text
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

-- 12_gates.sql

-- Gates: where a run waits for a human. A reply that comes before the gate opens is kept and honoured when it does.

create table app.gates (
  run_id      text collate "C" not null references app.runs,
  gate_key    text not null,
  idx         integer not null,
  kind        text not null,
  title       text,
  status      text not null,
  opened_at   timestamptz,
  expires_at  timestamptz,
  answered_at timestamptz,
  closed_at   timestamptz,
  payload     jsonb,
  round       integer not null default 1,
  primary key (run_id, gate_key),
  constraint a_gate_has_a_known_status check (status in ('OPEN', 'ANSWERED', 'EXPIRED', 'CLOSED')),
  constraint an_open_gate_was_opened check (status <> 'OPEN' or opened_at is not null),
  constraint an_answered_gate_has_its_reply check ((status = 'ANSWERED') = (answered_at is not null and payload is not null))
);
create index open_gates on app.gates (opened_at) where status = 'OPEN';
comment on table app.gates is 'Gates that opened, or were answered ahead of time.';
comment on column app.gates.run_id is 'The run that waits.';
comment on column app.gates.gate_key is 'Name from the recipe.';
comment on column app.gates.idx is 'Index of the step it guards.';
comment on column app.gates.kind is 'approval or input.';
comment on column app.gates.title is 'What a human reads.';
comment on column app.gates.status is 'OPEN, ANSWERED, EXPIRED or CLOSED (the run ended first).';
comment on column app.gates.opened_at is 'Null while the run has not reached it.';
comment on column app.gates.expires_at is 'End of its TTL.';
comment on column app.gates.answered_at is 'When the reply came.';
comment on column app.gates.closed_at is 'When it expired or was closed.';
comment on column app.gates.payload is 'The reply.';
comment on column app.gates.round is 'How many times it was asked: again after a no, or an expiry, that was repaired.';

create table app.gate_replies (
  run_id     text collate "C" not null,
  gate_key   text not null,
  dedupe_key text not null,
  payload    jsonb not null,
  origin     text not null,
  replied_at timestamptz not null,
  primary key (run_id, gate_key, dedupe_key),
  foreign key (run_id, gate_key) references app.gates
);
comment on table app.gate_replies is 'Accepted replies, by the sender''s dedupe key.';
comment on column app.gate_replies.run_id is 'The run.';
comment on column app.gate_replies.gate_key is 'The gate.';
comment on column app.gate_replies.dedupe_key is 'The same key with the same payload is a replay.';
comment on column app.gate_replies.payload is 'The reply.';
comment on column app.gate_replies.origin is 'Where it came from: a person, a page, a system.';
comment on column app.gate_replies.replied_at is 'When it was accepted (engine clock).';

-- 14_timers.sql

-- Timers: everything that waits for time. Nothing that sleeps sits in a queue.

create table app.timers (
  timer_id   bigint generated always as identity primary key,
  kind       text not null,
  run_id     text collate "C" not null references app.runs,
  idx        integer,
  task_key   text not null default '',
  gate_key   text,
  fire_at    timestamptz not null,
  created_at timestamptz not null,
  fired_at   timestamptz,
  closed_at  timestamptz,
  constraint a_timer_has_a_known_kind check (kind in ('retry', 'gate_ttl', 'run_timeout')),
  constraint a_timer_fires_or_is_closed check (fired_at is null or closed_at is null)
);
create index timers_due on app.timers (fire_at) where fired_at is null and closed_at is null;
create index timers_that_fired_early on app.timers (run_id) where fired_at < fire_at;
create index timers_of_a_run on app.timers (run_id);
comment on table app.timers is 'Durable timers: retries, gate TTLs, run timeouts. Whoever is alive fires them.';
comment on column app.timers.timer_id is 'Key.';
comment on column app.timers.kind is 'retry, gate_ttl or run_timeout.';
comment on column app.timers.run_id is 'The run.';
comment on column app.timers.idx is 'Step of a retry.';
comment on column app.timers.task_key is 'Task of a retry; empty for the step itself.';
comment on column app.timers.gate_key is 'Gate of a TTL.';
comment on column app.timers.fire_at is 'Due (engine clock).';
comment on column app.timers.created_at is 'When it was set.';
comment on column app.timers.fired_at is 'When it fired.';
comment on column app.timers.closed_at is 'When it became pointless.';

-- 16_artifacts.sql

-- Artifacts: what steps leave behind. As in 10_run_steps, their run is checked per statement. Small JSON sits in the row, bodies are stored once per content.

create table app.artifact_blobs (
  sha256 text primary key,
  body   bytea not null
);
comment on table app.artifact_blobs is 'Bodies, stored once per content.';
comment on column app.artifact_blobs.sha256 is 'Hex sha256 of body.';
comment on column app.artifact_blobs.body is 'The bytes.';

insert into app.artifact_blobs (sha256, body)
values ('140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe', convert_to('none', 'UTF8'));

create table app.artifacts (
  artifact_id bigint generated always as identity primary key,
  run_id      text collate "C" not null,
  step_id     text not null,
  step_idx    integer,
  task_key    text not null default '',
  attempt     integer not null default 1,
  idx         integer not null,
  kind        text not null,
  name        text not null,
  media_type  text not null,
  size        bigint not null,
  sha256      text not null,
  inline      jsonb,
  created_at  timestamptz not null,
  constraint an_artifact_has_the_hash_of_its_bytes check (length(sha256) = 64),
  constraint an_empty_step_leaves_artifact_999 check ((kind = 'none') = (idx = 999))
);
create index artifacts_of_a_run on app.artifacts (run_id, step_idx);
comment on table app.artifacts is 'Artifacts of step attempts, in order; kind none when a finished step produced nothing.';
comment on column app.artifacts.artifact_id is 'Key; GET /api/artifacts/:id.';
comment on column app.artifacts.run_id is 'The run.';
comment on column app.artifacts.step_id is 'Step that made it; OPS for a control action.';
comment on column app.artifacts.step_idx is 'Index of that step; null for OPS.';
comment on column app.artifacts.task_key is 'Task that made it; empty for the step itself.';
comment on column app.artifacts.attempt is 'Attempt that made it.';
comment on column app.artifacts.idx is 'Position among the artifacts of the attempt; 999 for kind none.';
comment on column app.artifacts.kind is 'artifact_index, plan_card, patch, decision, file, stdout, stderr, timings, json_diagnostic, none, or a handler''s own.';
comment on column app.artifacts.name is 'File name.';
comment on column app.artifacts.media_type is 'Media type of the body.';
comment on column app.artifacts.size is 'Bytes.';
comment on column app.artifacts.sha256 is 'Hex sha256 of the bytes; of an inline artifact, of its canonical JSON.';
comment on column app.artifacts.inline is 'The content, when it is JSON kept in the row; else it is in app.artifact_blobs.';
comment on column app.artifacts.created_at is 'When it was committed (engine clock).';

create type app.artifact_content as (
  artifact_id bigint,
  run_id      text,
  step_id     text,
  step_idx    integer,
  task_key    text,
  attempt     integer,
  idx         integer,
  kind        text,
  name        text,
  media_type  text,
  size        bigint,
  sha256      text,
  body        bytea
);
comment on type app.artifact_content is 'An artifact with its bytes.';

create table app.mock_receipts (
  run_id     text collate "C" not null references app.runs,
  task_key   text not null,
  seen_count integer not null default 1,
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  primary key (run_id, task_key)
);
create index receipts_seen_otherwise on app.mock_receipts (run_id) where seen_count <> 1;
comment on table app.mock_receipts is 'One row per task whose result from the mock sandbox was committed: seen_count is 1 for ever.';
comment on column app.mock_receipts.run_id is 'The run.';
comment on column app.mock_receipts.task_key is 'The task.';
comment on column app.mock_receipts.seen_count is 'Committed executions; more than 1 breaks a law.';
comment on column app.mock_receipts.first_seen is 'First commit.';
comment on column app.mock_receipts.last_seen is 'Last commit.';

-- 18_workers.sql

-- Workers: who is there. A row per worker name, kept when it leaves.

create table app.workers (
  worker       text primary key,
  app_version  text not null,
  queues       text[] not null,
  concurrency  integer not null,
  host         text,
  pid          integer,
  started_at   timestamptz not null,
  last_seen_at timestamptz not null,
  stopped_at   timestamptz
);
comment on table app.workers is 'Workers, by name. Real clock: a worker is alive or not whatever the engine clock says.';
comment on column app.workers.worker is 'Name; the same name again is the same worker restarted.';
comment on column app.workers.app_version is 'Version it serves.';
comment on column app.workers.queues is 'Queues it serves.';
comment on column app.workers.concurrency is 'Steps at once.';
comment on column app.workers.host is 'Where it runs.';
comment on column app.workers.pid is 'Process id there.';
comment on column app.workers.started_at is 'Last registration.';
comment on column app.workers.last_seen_at is 'Last heartbeat.';
comment on column app.workers.stopped_at is 'When it left; null while it serves.';
