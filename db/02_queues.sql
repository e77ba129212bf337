-- Queues: what waits for a worker, and under which rules. Each row has a pgmq queue of the same name that holds its leases.

create table app.queues (
  queue_name     text primary key,
  partitioned    boolean not null default false,
  lease_seconds  integer not null default 30,
  max_recoveries integer not null default 5,
  paused_at      timestamptz,
  paused_by      text,
  pause_reason   text,
  max_running               integer,
  max_running_per_partition integer,
  max_running_per_worker    integer,
  rate_limit                integer,
  rate_seconds              integer,
  rate_limit_per_partition  integer,
  rate_seconds_per_partition integer,
  ageing_seconds            integer default 600,
  limits_at                 timestamptz not null default clock_timestamp(),
  constraint a_queue_has_a_plain_name check (queue_name ~ '^[A-Za-z][A-Za-z0-9_]{0,39}$'),
  constraint a_lease_lasts_between_a_second_and_a_day check (lease_seconds between 1 and 86400),
  constraint recoveries_are_counted_from_zero check (max_recoveries between 0 and 1000),
  constraint a_paused_queue_says_who_and_why check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_reason is null)),
  constraint a_limit_lets_something_run check (least(max_running, max_running_per_partition, max_running_per_worker) >= 1),
  constraint a_rate_counts_in_a_time check ((rate_limit is null) = (rate_seconds is null) and (rate_limit_per_partition is null) = (rate_seconds_per_partition is null)),
  constraint a_rate_hands_something_out check (least(rate_limit, rate_limit_per_partition) between 1 and 10000 and least(rate_seconds, rate_seconds_per_partition) >= 1),
  constraint a_step_ages_after_a_second check (ageing_seconds >= 1)
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
comment on column app.queues.max_running is 'At most so many of its steps are under a lease at once; null: no limit.';
comment on column app.queues.max_running_per_partition is 'The same for each partition; a row of app.partitions overrides it.';
comment on column app.queues.max_running_per_worker is 'The same for each worker.';
comment on column app.queues.rate_limit is 'At most so many steps are handed out in any rate_seconds; null: no limit.';
comment on column app.queues.rate_seconds is 'The length of that window.';
comment on column app.queues.rate_limit_per_partition is 'At most so many steps of each partition are handed out in any rate_seconds_per_partition; null: no limit.';
comment on column app.queues.rate_seconds_per_partition is 'The length of that window.';
comment on column app.queues.ageing_seconds is 'A step that has waited so long gets every fourth turn of its partition, whatever its priority; null: never.';
comment on column app.queues.limits_at is 'When the limits were last set (real clock): what was handed out before may exceed them.';

create table app.partitions (
  queue_name    text not null references app.queues,
  partition_key text collate "C" not null,
  weight        integer not null default 1,
  max_running   integer,
  paused_at     timestamptz,
  paused_by     text,
  pause_reason  text,
  limits_at     timestamptz not null default clock_timestamp(),
  primary key (queue_name, partition_key),
  constraint a_weight_is_between_one_and_a_hundred check (weight between 1 and 100),
  constraint a_partition_lets_something_run check (max_running >= 1),
  constraint a_paused_partition_says_who_and_why check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_reason is null))
);
create index partitions_with_a_limit on app.partitions (queue_name) where max_running is not null;
create index paused_partitions on app.partitions (queue_name, partition_key) where paused_at is not null;
comment on table app.partitions is 'Partitions that are treated unlike the others of their queue. A partition without a row has weight 1.';
comment on column app.partitions.queue_name is 'The queue.';
comment on column app.partitions.partition_key is 'The partition; empty for the runs without a key.';
comment on column app.partitions.weight is 'Its share of what is handed out beside that of the other partitions.';
comment on column app.partitions.max_running is 'At most so many of its steps are under a lease at once; null: as the queue says.';
comment on column app.partitions.paused_at is 'Since when nothing of it is handed out; null while it is served.';
comment on column app.partitions.paused_by is 'Who paused it.';
comment on column app.partitions.pause_reason is 'Why.';
comment on column app.partitions.limits_at is 'When max_running was last set (real clock): what was handed out before may exceed it.';

create table app.rate_tokens (
  queue_name    text not null references app.queues,
  partition_key text collate "C" not null,
  used_at       timestamptz not null,
  tokens        integer not null,
  primary key (queue_name, partition_key, used_at),
  constraint a_token_was_used check (tokens >= 1)
);
create index tokens_by_use on app.rate_tokens (queue_name, used_at);
comment on table app.rate_tokens is 'Tokens that rate limits have given out: one row per claim and partition. A token is free again when the window of its limit has passed, so that no window of that length holds more than the limit. Rows that no window reaches are deleted.';
comment on column app.rate_tokens.queue_name is 'The queue.';
comment on column app.rate_tokens.partition_key is 'The partition.';
comment on column app.rate_tokens.used_at is 'When they were used (engine clock).';
comment on column app.rate_tokens.tokens is 'How many: one per step that was handed out.';

create table app.queue_samples (
  queue_name text not null references app.queues,
  at         timestamptz not null,
  handed_out bigint not null,
  primary key (queue_name, at)
);
comment on table app.queue_samples is 'How many steps a queue had handed out at a moment of the last hour: the pace from which the oracles tell when it is drained. No row is added while nothing moves.';
comment on column app.queue_samples.queue_name is 'The queue.';
comment on column app.queue_samples.at is 'When (real clock).';
comment on column app.queue_samples.handed_out is 'Leases made since the queue exists.';

insert into app.queues (queue_name) values ('intentQ'), ('sbxQ'), ('controlQ');
