-- Graphs, sleeps and maps, gates as rows of their own, checkpoints, paused queues.

comment on column app.settings.key is 'default_recipe, oc_mode, sbx_mode, app_version, test_database; clock_offset (seconds; only app.advance writes it); code_hash, code_objects (the replay)';

alter table app.queues
  add column paused_at timestamptz,
  add column paused_by text,
  add column pause_reason text,
  add constraint a_paused_queue_says_who_and_why check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_reason is null));
comment on column app.queues.paused_at is 'Since when nothing of it is handed out; null while it is served. A step under way ends, the next one waits in line.';
comment on column app.queues.paused_by is 'Who paused it.';
comment on column app.queues.pause_reason is 'Why.';

alter table app.recipes add column is_chain boolean not null default true;
-- a step is written once, and this writes it differently: the guard stands aside
alter table app.recipe_steps disable trigger user;
alter table app.recipe_steps
  alter column handler drop not null,
  add column needs integer[] not null default '{}',
  add column condition text,
  add column is_gated boolean not null default false,
  add column sleep_ms bigint,
  add column sleep_input text,
  add column backoff_jitter double precision not null default 0,
  add column fan_backoff_jitter double precision,
  add column fan_over text,
  add column fan_join text,
  add constraint a_step_is_handled_or_sleeps_or_maps check (num_nonnulls(handler, sleep_ms, sleep_input, fan_over) = 1),
  add constraint a_join_waits_for_all_or_the_first_failure check (fan_join in ('all', 'firstFailure'));
create table app.recipe_gates (
  recipe_id     bigint not null,
  idx           integer not null,
  gate_key      text not null,
  position      integer not null,
  kind          text not null,
  title         text,
  ttl_ms        bigint,
  on_expiry     text not null default 'fail',
  expiry_answer jsonb,
  shows         text[] not null default '{}',
  quorum        integer not null default 1,
  self_approval boolean not null default true,
  primary key (recipe_id, gate_key),
  foreign key (recipe_id, idx) references app.recipe_steps on delete cascade,
  constraint a_gate_asks_for_approval_or_input check (kind in ('approval', 'input')),
  constraint an_expired_gate_fails_cancels_or_is_answered check (on_expiry in ('fail', 'cancel', 'answer')),
  constraint a_gate_that_answers_itself_knows_what check ((on_expiry = 'answer') = (expiry_answer is not null)),
  constraint somebody_has_to_approve check (quorum >= 1)
);
create index gates_before_a_step on app.recipe_gates (recipe_id, idx);

insert into app.recipe_gates (recipe_id, idx, gate_key, position, kind, title, ttl_ms)
select recipe_id, idx, gate_key, 0, gate_kind, gate_title, gate_ttl_ms from app.recipe_steps where gate_key is not null;
update app.recipe_steps set needs = case idx when 0 then '{}'::integer[] else array[idx - 1] end, is_gated = gate_key is not null,
  fan_join = case when fan_queue is not null then 'all' end, fan_backoff_jitter = 0;
alter table app.recipe_steps
  drop constraint a_gate_key_is_unique_in_its_recipe,
  drop constraint a_gate_has_a_kind,
  drop constraint a_gate_asks_for_approval_or_input,
  drop column gate_key,
  drop column gate_kind,
  drop column gate_title,
  drop column gate_ttl_ms;
alter table app.recipe_steps enable trigger user;
comment on column app.recipes.is_chain is 'True when every step needs exactly the one before it and none has a condition; false for a graph.';
comment on column app.recipe_steps.handler is 'Name under which a runner finds the code; null for a step that the engine executes itself: a sleep or a map.';
comment on column app.recipe_steps.needs is 'Indexes of the steps that must be done before it, each smaller than its own; without any it begins with the run.';
comment on column app.recipe_steps.condition is 'jsonpath predicate over {intent, outputs, gates}; the step is skipped unless it is true. Null: always.';
comment on column app.recipe_steps.is_gated is 'True when rows of app.recipe_gates guard it.';
comment on column app.recipe_steps.sleep_ms is 'The step is a durable sleep of so long.';
comment on column app.recipe_steps.sleep_input is 'The step is a durable sleep as long as this number of ms in the inputs of the intent.';
comment on column app.recipe_steps.backoff_jitter is 'Share of a wait that is drawn at random: 0.1 waits between 90 and 100 %.';
comment on column app.recipe_steps.fan_backoff_jitter is 'As backoff_jitter, for a task.';
comment on column app.recipe_steps.fan_over is 'The step is a map: jsonpath over {intent, outputs, gates} whose items are its tasks.';
comment on column app.recipe_steps.fan_join is 'all: the step waits for every task; firstFailure: it ends with the first that fails for good.';
comment on table app.recipe_gates is 'The gates before the steps of a recipe version, derived from its body by put_recipe.';
comment on column app.recipe_gates.recipe_id is 'The recipe version.';
comment on column app.recipe_gates.idx is 'The step it guards.';
comment on column app.recipe_gates.gate_key is 'Name, unique in the recipe.';
comment on column app.recipe_gates.position is 'Order among the gates of the step.';
comment on column app.recipe_gates.kind is 'approval (the reply carries decision yes or no) or input (any object).';
comment on column app.recipe_gates.title is 'What a human reads at the gate.';
comment on column app.recipe_gates.ttl_ms is 'Unanswered for so long it expires; null never.';
comment on column app.recipe_gates.on_expiry is 'fail: the run ends in ERROR; cancel: in CANCELLED; answer: expiry_answer counts as the reply.';
comment on column app.recipe_gates.expiry_answer is 'The reply of a gate that expires with on_expiry answer.';
comment on column app.recipe_gates.shows is 'Steps whose artifacts are shown at the gate; an approval is bound to their sha256.';
comment on column app.recipe_gates.quorum is 'How many different people have to say yes.';
comment on column app.recipe_gates.self_approval is 'False: who started the run may not approve it.';

alter table app.runs
  add column is_chain boolean not null default true,
  add column started_by text;
comment on column app.runs.run_id is 'workflowID: the intent id, <root>-f<N> of a fork, or the caller''s own of a sleep.';
comment on column app.runs.is_chain is 'Copied from the recipe: a chain of steps, or a graph.';
comment on column app.runs.started_by is 'Who started it, as given; a gate without self approval wants it.';
insert into app.run_transitions (entity, from_status, to_status, action) values
  ('run', 'WAITING_INPUT', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'worker lost too often');
update app.run_transitions as t set action = v.action from (values
  ('run', 'WAITING_INPUT', 'CANCELLED', 'cancel, or gate expired'),
  ('step', '', 'PENDING', 'next step of a lane, sleep, map'),
  ('step', '', 'SUCCESS', 'fork, cached; or skipped')) as v (entity, from_status, to_status, action)
where (t.entity, t.from_status, t.to_status) = (v.entity, v.from_status, v.to_status);

alter table app.run_steps
  add column parked_at timestamptz,
  add column skipped boolean not null default false,
  drop constraint a_waiting_step_is_in_line,
  drop constraint a_running_step_has_a_lease_or_open_tasks,
  add constraint a_waiting_step_is_in_line check (
    case status when 'ENQUEUED' then queue_seq is not null when 'PENDING' then queue_seq is null or msg_id is null else queue_seq is null end),
  add constraint a_running_step_has_a_lease_or_waits check (
    status <> 'PENDING' or coalesce(tasks_open, 0) > 0 or parked_at is not null or queue_seq is not null
    or (worker is not null and msg_id is not null and read_ct is not null)),
  add constraint only_a_running_step_is_parked check (parked_at is null or (status = 'PENDING' and msg_id is null and queue_seq is null));
alter type app.lane_result add attribute is_chain boolean;
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
comment on column app.run_steps.queue_seq is 'Place in line while ENQUEUED, and of a PENDING attempt that woke up; else null.';
comment on column app.run_steps.parked_at is 'Since when it sleeps, or waits for a gate that its handler opened: PENDING without a worker.';
comment on column app.run_steps.skipped is 'True when its condition was not met: SUCCESS without having run.';
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

alter table app.gates
  add column task_key text not null default '',
  add column on_expiry text not null default 'fail',
  add column expiry_answer jsonb,
  add column shows text[] not null default '{}',
  add column shown_sha256 text,
  add column quorum integer not null default 1,
  add column self_approval boolean not null default true,
  add column from_handler boolean not null default false;
alter table app.gate_replies
  add column shown_sha256 text,
  add column round integer not null default 1;
comment on column app.gates.gate_key is 'Name from the recipe, or from the handler.';
comment on column app.gates.task_key is 'Task whose handler opened it; else empty.';
comment on column app.gates.on_expiry is 'As in app.recipe_gates.';
comment on column app.gates.expiry_answer is 'As in app.recipe_gates.';
comment on column app.gates.shows is 'As in app.recipe_gates.';
comment on column app.gates.shown_sha256 is 'sha256 over the artifacts that were shown when it opened; null when it shows none.';
comment on column app.gates.quorum is 'As in app.recipe_gates.';
comment on column app.gates.self_approval is 'As in app.recipe_gates.';
comment on column app.gates.from_handler is 'True when a handler opened it (ctx.wait_for), false when it stands before a step.';
comment on column app.gate_replies.shown_sha256 is 'sha256 of what the sender saw, where it was said: the reply counts for nothing else.';
comment on column app.gate_replies.round is 'Round of the gate that it answers.';

alter table app.timers
  drop constraint a_timer_has_a_known_kind,
  add constraint a_timer_has_a_known_kind check (kind in ('retry', 'gate_ttl', 'run_timeout', 'sleep'));
comment on table app.timers is 'Durable timers: sleeps, retries, gate TTLs, run timeouts. Whoever is alive fires them.';
comment on column app.timers.kind is 'sleep, retry, gate_ttl or run_timeout.';
comment on column app.timers.idx is 'Step of a retry or a sleep.';
comment on column app.timers.task_key is 'Task of a retry or a sleep; empty for the step itself.';

comment on column app.artifacts.run_id is 'The run; queue/<name> or schedule/<name> for a control action on one of those.';
