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
  task_key    text not null default '',
  on_expiry   text not null default 'fail',
  expiry_answer jsonb,
  shows       text[] not null default '{}',
  shown_sha256 text,
  quorum      integer not null default 1,
  self_approval boolean not null default true,
  from_handler boolean not null default false,
  primary key (run_id, gate_key),
  constraint a_gate_has_a_known_status check (status in ('OPEN', 'ANSWERED', 'EXPIRED', 'CLOSED')),
  constraint an_open_gate_was_opened check (status <> 'OPEN' or opened_at is not null),
  constraint an_answered_gate_has_its_reply check ((status = 'ANSWERED') = (answered_at is not null and payload is not null))
);
create index open_gates on app.gates (opened_at) where status = 'OPEN';
create index open_gates_by_deadline on app.gates (expires_at, opened_at) where status = 'OPEN';
comment on table app.gates is 'Gates that opened, or were answered ahead of time.';
comment on column app.gates.run_id is 'The run that waits.';
comment on column app.gates.gate_key is 'Name from the recipe, or from the handler.';
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
comment on column app.gates.task_key is 'Task whose handler opened it; else empty.';
comment on column app.gates.on_expiry is 'As in app.recipe_gates.';
comment on column app.gates.expiry_answer is 'As in app.recipe_gates.';
comment on column app.gates.shows is 'As in app.recipe_gates.';
comment on column app.gates.shown_sha256 is 'sha256 over the artifacts that were shown when it opened; null when it shows none.';
comment on column app.gates.quorum is 'As in app.recipe_gates.';
comment on column app.gates.self_approval is 'As in app.recipe_gates.';
comment on column app.gates.from_handler is 'True when a handler opened it (ctx.wait_for), false when it stands before a step.';

create table app.gate_replies (
  run_id     text collate "C" not null,
  gate_key   text not null,
  dedupe_key text not null,
  payload    jsonb not null,
  origin     text not null,
  replied_at timestamptz not null,
  shown_sha256 text,
  round      integer not null default 1,
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
comment on column app.gate_replies.shown_sha256 is 'sha256 of what the sender saw, where it was said: the reply counts for nothing else.';
comment on column app.gate_replies.round is 'Round of the gate that it answers.';
