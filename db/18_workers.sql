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
