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
