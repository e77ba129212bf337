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
  constraint a_timer_has_a_known_kind check (kind in ('retry', 'gate_ttl', 'run_timeout', 'sleep')),
  constraint a_timer_fires_or_is_closed check (fired_at is null or closed_at is null)
);
create index timers_due on app.timers (fire_at) where fired_at is null and closed_at is null;
create index timers_that_fired_early on app.timers (run_id) where fired_at < fire_at;
create index timers_of_a_run on app.timers (run_id);
comment on table app.timers is 'Durable timers: sleeps, retries, gate TTLs, run timeouts. Whoever is alive fires them.';
comment on column app.timers.timer_id is 'Key.';
comment on column app.timers.kind is 'sleep, retry, gate_ttl or run_timeout.';
comment on column app.timers.run_id is 'The run.';
comment on column app.timers.idx is 'Step of a retry or a sleep.';
comment on column app.timers.task_key is 'Task of a retry or a sleep; empty for the step itself.';
comment on column app.timers.gate_key is 'Gate of a TTL.';
comment on column app.timers.fire_at is 'Due (engine clock).';
comment on column app.timers.created_at is 'When it was set.';
comment on column app.timers.fired_at is 'When it fired.';
comment on column app.timers.closed_at is 'When it became pointless.';
