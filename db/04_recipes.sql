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
