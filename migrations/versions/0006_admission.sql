-- Admission: limits of queues, weights and pauses of partitions, tokens of rate limits, samples of the pace. A lease knows its partition and its worker.

alter table app.queues
  add column max_running integer,
  add column max_running_per_partition integer,
  add column max_running_per_worker integer,
  add column rate_limit integer,
  add column rate_seconds integer,
  add column rate_limit_per_partition integer,
  add column rate_seconds_per_partition integer,
  add column ageing_seconds integer default 600,
  add column limits_at timestamptz not null default clock_timestamp(),
  add constraint a_limit_lets_something_run check (least(max_running, max_running_per_partition, max_running_per_worker) >= 1),
  add constraint a_rate_counts_in_a_time check ((rate_limit is null) = (rate_seconds is null) and (rate_limit_per_partition is null) = (rate_seconds_per_partition is null)),
  add constraint a_rate_hands_something_out check (least(rate_limit, rate_limit_per_partition) between 1 and 10000 and least(rate_seconds, rate_seconds_per_partition) >= 1),
  add constraint a_step_ages_after_a_second check (ageing_seconds >= 1);
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

alter type app.lease add attribute partition_key text, add attribute worker text, add attribute granted_at timestamptz;

-- leases that are held at this moment are counted, too
do $$
declare
  q text;
begin
  for q in select m.queue_name from pgmq.meta as m join app.queues as a using (queue_name) loop
    execute format(
      'update pgmq.%I as m set message = m.message || jsonb_build_object(''partition'', s.partition_key, ''worker'', s.worker)
       from app.run_steps as s where s.run_id = m.message ->> ''runId'' and s.task_key = m.message ->> ''taskKey'' and s.status = ''PENDING'' and s.msg_id = m.msg_id and s.queue_name = %L',
      pgmq.format_table_name(q, 'q'), q);
  end loop;
end
$$;
