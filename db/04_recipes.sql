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
  is_chain     boolean not null default true,
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
comment on column app.recipes.is_chain is 'True when every step needs exactly the one before it and none has a condition; false for a graph.';

create table app.recipe_steps (
  recipe_id          bigint not null references app.recipes on delete cascade,
  idx                integer not null,
  step_id            text not null,
  handler            text,
  queue_name         text not null references app.queues,
  max_attempts       integer not null default 1,
  backoff_initial_ms bigint not null default 0,
  backoff_factor     double precision not null default 2,
  backoff_max_ms     bigint not null default 60000,
  retryable_codes    text[] not null default '{}',
  timeout_ms         integer,
  fan_queue          text references app.queues,
  fan_handler        text,
  fan_max_tasks      integer,
  fan_max_attempts   integer,
  fan_backoff_initial_ms bigint,
  fan_backoff_factor double precision,
  fan_backoff_max_ms bigint,
  fan_retryable_codes text[],
  fan_timeout_ms     integer,
  needs              integer[] not null default '{}',
  condition          text,
  is_gated           boolean not null default false,
  sleep_ms           bigint,
  sleep_input        text,
  backoff_jitter     double precision not null default 0,
  fan_backoff_jitter double precision,
  fan_over           text,
  fan_join           text,
  primary key (recipe_id, idx),
  constraint a_step_id_is_unique_in_its_recipe unique (step_id, recipe_id),
  constraint a_step_is_handled_or_sleeps_or_maps check (num_nonnulls(handler, sleep_ms, sleep_input, fan_over) = 1),
  constraint a_join_waits_for_all_or_the_first_failure check (fan_join in ('all', 'firstFailure')),
  constraint a_fan_out_has_a_queue_and_a_handler check (
    (fan_queue is null) = (fan_handler is null) and (fan_queue is null) = (fan_max_tasks is null))
);
comment on table app.recipe_steps is 'The steps of a recipe version, derived from its body by put_recipe: one row per step, in order.';
comment on column app.recipe_steps.recipe_id is 'The recipe version.';
comment on column app.recipe_steps.idx is '0-based position.';
comment on column app.recipe_steps.step_id is 'Name of the step, unique in the recipe.';
comment on column app.recipe_steps.handler is 'Name under which a runner finds the code; null for a step that the engine executes itself: a sleep or a map.';
comment on column app.recipe_steps.queue_name is 'Queue of the step.';
comment on column app.recipe_steps.max_attempts is 'Attempts in all; lost workers do not count.';
comment on column app.recipe_steps.backoff_initial_ms is 'Wait before the second attempt; 0 retries at once.';
comment on column app.recipe_steps.backoff_factor is 'Each further wait is this many times longer.';
comment on column app.recipe_steps.backoff_max_ms is 'Longest wait.';
comment on column app.recipe_steps.retryable_codes is 'Error codes that are retried besides those a handler marks retryable.';
comment on column app.recipe_steps.timeout_ms is 'The runner gives up an attempt after this long; null never.';
comment on column app.recipe_steps.fan_queue is 'The step fans out: queue of its tasks; null does not.';
comment on column app.recipe_steps.fan_handler is 'Handler of one task.';
comment on column app.recipe_steps.fan_max_tasks is 'Most tasks one run may make here.';
comment on column app.recipe_steps.fan_max_attempts is 'As max_attempts, for a task.';
comment on column app.recipe_steps.fan_backoff_initial_ms is 'As backoff_initial_ms, for a task.';
comment on column app.recipe_steps.fan_backoff_factor is 'As backoff_factor, for a task.';
comment on column app.recipe_steps.fan_backoff_max_ms is 'As backoff_max_ms, for a task.';
comment on column app.recipe_steps.fan_retryable_codes is 'As retryable_codes, for a task.';
comment on column app.recipe_steps.fan_timeout_ms is 'As timeout_ms, for a task.';
comment on column app.recipe_steps.needs is 'Indexes of the steps that must be done before it, each smaller than its own; without any it begins with the run.';
comment on column app.recipe_steps.condition is 'jsonpath predicate over {intent, outputs, gates}; the step is skipped unless it is true. Null: always.';
comment on column app.recipe_steps.is_gated is 'True when rows of app.recipe_gates guard it.';
comment on column app.recipe_steps.sleep_ms is 'The step is a durable sleep of so long.';
comment on column app.recipe_steps.sleep_input is 'The step is a durable sleep as long as this number of ms in the inputs of the intent.';
comment on column app.recipe_steps.backoff_jitter is 'Share of a wait that is drawn at random: 0.1 waits between 90 and 100 %.';
comment on column app.recipe_steps.fan_backoff_jitter is 'As backoff_jitter, for a task.';
comment on column app.recipe_steps.fan_over is 'The step is a map: jsonpath over {intent, outputs, gates} whose items are its tasks.';
comment on column app.recipe_steps.fan_join is 'all: the step waits for every task; firstFailure: it ends with the first that fails for good.';

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
