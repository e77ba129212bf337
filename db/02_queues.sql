-- Queues: what waits for a worker, and under which rules. Each row has a pgmq queue of the same name that holds its leases.

create table app.queues (
  queue_name     text primary key,
  partitioned    boolean not null default false,
  lease_seconds  integer not null default 30,
  max_recoveries integer not null default 5,
  paused_at      timestamptz,
  paused_by      text,
  pause_reason   text,
  constraint a_queue_has_a_plain_name check (queue_name ~ '^[A-Za-z][A-Za-z0-9_]{0,39}$'),
  constraint a_lease_lasts_between_a_second_and_a_day check (lease_seconds between 1 and 86400),
  constraint recoveries_are_counted_from_zero check (max_recoveries between 0 and 1000),
  constraint a_paused_queue_says_who_and_why check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_reason is null))
);
create unique index a_queue_name_is_unique_in_any_case on app.queues (lower(queue_name));
comment on table app.queues is 'Queues and their rules.';
comment on column app.queues.queue_name is 'Name, also of the pgmq queue that holds the leases.';
comment on column app.queues.partitioned is 'True: every run on this queue must carry a queuePartitionKey.';
comment on column app.queues.lease_seconds is 'How long a claimed step stays with a worker that gives no sign of life.';
comment on column app.queues.max_recoveries is 'How many times in a row a step may lose its worker before the run is MAX_RECOVERY_ATTEMPTS_EXCEEDED.';
comment on column app.queues.paused_at is 'Since when nothing of it is handed out; null while it is served. A step under way ends, the next one waits in line.';
comment on column app.queues.paused_by is 'Who paused it.';
comment on column app.queues.pause_reason is 'Why.';

insert into app.queues (queue_name) values ('intentQ'), ('sbxQ'), ('controlQ');
