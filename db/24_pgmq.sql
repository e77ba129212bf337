-- pgmq: the only chapter that calls pgmq. A message is a lane: {"runId", "taskKey", "partition", "worker"}, invisible for as long as its lease lasts.
--
--   app.ensure_queues()                            makes the pgmq queues that app.queues names
--   app.shrink_queues(min_bytes) → names           gives back the dead pages of those that are empty
--   app.send_leases(queue, lanes, seconds) → ids   new leases, already held: sent invisible, so a claim is one write, not two
--   app.extend_leases(queue, msg_ids, seconds)     heartbeat
--   app.drop_leases(queue, msg_ids)                the lanes are over
--   app.expired_leases(queue, seconds, n)          takes messages whose holder gave no sign of life
--   app.lease_front(queue, from_id)                whether there are any, from one on
--   app.count_leases(queue, worker), app.handed_out(queue)     what runs, for the limits of a queue; how much it has handed out
--   app.leases(), app.lease_ends(queue, msg_id)    all of them, or the end of one, for the oracles
--   app.missing_queues() → names                   queues that ensure_queues would make
--   app.rebuild_dispatch() → made, dropped         everything here is derived: makes it anew from app.run_steps
--
-- Invariant: a step attempt that is PENDING and has no open tasks has exactly one message, and every message has such an attempt.
-- What waits without a lease is a row of app.run_steps, never a message, so these tables stay as short as the workers are few.
-- Lock order: queues by name, messages by id. Only the index goes by id: for a few messages or many the planner would take other ways, which go
-- by the place on disk, and a heartbeat and a commit would wait for one another. Whoever starts elsewhere (expired_leases) skips what is locked.

create or replace function app.ensure_queues()
returns void
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  name text;
begin
  perform pgmq.create(q.queue_name)
  from app.queues as q
  where not exists (select from pgmq.meta as m where m.queue_name = q.queue_name);
  -- all of it is dead soon: vacuumed often and at full speed. Vacuum never takes the lock that gives pages back, app.shrink_queues does
  for name in
    select pgmq.format_table_name(q.queue_name, 'q') from app.queues as q
      join pg_catalog.pg_class as c on c.relnamespace = 'pgmq'::regnamespace and c.relname = pgmq.format_table_name(q.queue_name, 'q')
    where not coalesce(c.reloptions, '{}') @> '{vacuum_truncate=off}'
  loop
    execute format('alter table pgmq.%I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off)', name);
  end loop;
end
$$;
comment on function app.ensure_queues() is 'Creates the pgmq queue of every app.queues row that has none yet, and tells autovacuum about them.';

create or replace function app.shrink_queues(min_bytes bigint default 8388608)
returns text[]
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  queue record;
  is_empty boolean;
  shrunk text[] := '{}'::text[];
begin
  for queue in
    select q.queue_name, pgmq.format_table_name(q.queue_name, 'q') as name from app.queues as q
      join pg_catalog.pg_class as c on c.relnamespace = 'pgmq'::regnamespace and c.relname = pgmq.format_table_name(q.queue_name, 'q')
    where pg_relation_size(c.oid) + pg_indexes_size(c.oid) >= min_bytes order by q.queue_name
  loop
    execute format('select not exists (select from pgmq.%I)', queue.name) into is_empty;
    if is_empty then
      -- whoever claims or commits at this moment comes first: 55P03, and the caller tries again some other time
      execute format('lock table pgmq.%I in access exclusive mode nowait', queue.name);
      execute format('select not exists (select from pgmq.%I)', queue.name) into is_empty;
    end if;
    if is_empty then
      execute format('truncate table pgmq.%I continue identity', queue.name);
      shrunk := shrunk || queue.queue_name;
    end if;
  end loop;
  return shrunk;
end
$$;
comment on function app.shrink_queues(bigint) is
  'For runners, now and then, in a transaction of its own: queue tables that hold no message and have min_bytes of dead pages are truncated, even while somebody holds an old snapshot. Message ids go on counting. Never waits for a lock: SQLSTATE 55P03 when somebody is at work. Returns the queues.';

create or replace function app.missing_queues()
returns text[]
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select array(select q.queue_name from app.queues as q where not exists (select from pgmq.meta as m where m.queue_name = q.queue_name) order by 1);
$$;
comment on function app.missing_queues() is 'Queues that have no pgmq queue yet.';

create or replace function app.send_leases(queue text, lanes jsonb[], seconds integer)
returns bigint[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  return array(select m.msg_id from pgmq.send_batch(queue, lanes, seconds) as m (msg_id));
end
$$;
comment on function app.send_leases(text, jsonb[], integer) is 'One message per lane, leased for so many seconds; their ids in order.';

create or replace function app.extend_leases(queue text, msg_ids bigint[], seconds integer)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  perform pgmq.set_vt(queue, (select array_agg(m order by m) from unnest(msg_ids) as m), seconds);
end
$$;
comment on function app.extend_leases(text, bigint[], integer) is 'The leases last so many seconds from now.';

create or replace function app.drop_leases(queue text, msg_ids bigint[])
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  perform from pgmq.delete(queue, msg_ids);
end
$$;
comment on function app.drop_leases(text, bigint[]) is 'Deletes the messages.';

create or replace function app.expired_leases(queue text, seconds integer, n integer)
returns setof app.lease
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  return query select queue, m.msg_id, m.read_ct, m.vt, m.message ->> 'runId', m.message ->> 'taskKey', m.message ->> 'partition', m.message ->> 'worker', m.enqueued_at
  from pgmq.read(queue, seconds, n) as m;
end
$$;
comment on function app.expired_leases(text, integer, integer) is 'Up to n expired leases, skipping those that somebody else is looking at.';

create or replace function app.lease_front(queue text, from_id bigint)
returns table (first_id bigint, is_expired boolean)
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
begin
  execute format('select min(m.msg_id), coalesce(bool_or(m.vt <= clock_timestamp()), false) from pgmq.%I as m where m.msg_id >= $1',
    pgmq.format_table_name(queue, 'q')) into first_id, is_expired using from_id;
  return next;
end
$$;
comment on function app.lease_front(text, bigint) is 'Of the leases from an id on: the oldest, null without any, and whether one has expired. Takes nothing.';

create or replace function app.lease_entries_read(queue text)
returns bigint
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  select coalesce(pg_stat_get_xact_tuples_returned(i.indexrelid), 0) from pg_index as i where i.indrelid = format('pgmq.%I', pgmq.format_table_name(queue, 'q'))::regclass and i.indisprimary;
$$;
comment on function app.lease_entries_read(text) is 'app.entries_read of the index that expired_leases walks.';

create or replace function app.leases()
returns setof app.lease
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  q text;
begin
  for q in select a.queue_name from app.queues as a join pgmq.meta as m using (queue_name) loop
    return query execute format(
      'select %L::text, m.msg_id, m.read_ct::integer, m.vt, m.message ->> ''runId'', m.message ->> ''taskKey'', m.message ->> ''partition'', m.message ->> ''worker'', m.enqueued_at from pgmq.%I as m',
      q, pgmq.format_table_name(q, 'q'));
  end loop;
end
$$;
comment on function app.leases() is 'Every lease that is held or has expired. Bounded by the concurrency of the workers.';

create or replace function app.lease_ends(queue text, msg_id bigint)
returns timestamptz
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  ends timestamptz;
begin
  -- app.queues first, as everywhere: app.rebuild_dispatch
  execute format('select m.vt from app.queues as q join pgmq.%I as m on m.msg_id = $1 where q.queue_name = $2', pgmq.format_table_name(queue, 'q'))
    into ends using msg_id, queue;
  return ends;
end
$$;
comment on function app.lease_ends(text, bigint) is 'When a lease ends (real clock), or null when it is gone.';

create or replace function app.count_leases(queue text, worker text)
returns table (partition_key text, running bigint, of_worker bigint)
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  for partition_key, running, of_worker in execute format(
    'select coalesce(m.message ->> ''partition'', ''''), count(*), count(*) filter (where m.message ->> ''worker'' = $1) from pgmq.%I as m group by 1',
    pgmq.format_table_name(queue, 'q')) using worker
  loop
    return next;
  end loop;
end
$$;
comment on function app.count_leases(text, text) is 'Leases of a queue per partition, those that have expired included, and how many of them a worker holds. Volatile: it sees what was committed until now.';

create or replace function app.handed_out(queue text)
returns bigint
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  n bigint;
begin
  execute format('select case when s.is_called then s.last_value else 0 end from %s as s',
    pg_get_serial_sequence(format('pgmq.%I', pgmq.format_table_name(queue, 'q')), 'msg_id')) into n;
  return n;
end
$$;
comment on function app.handed_out(text) is 'How many leases a queue has made since it exists.';

create or replace function app.rebuild_dispatch()
returns table (queue_name text, made bigint, dropped bigint)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  queue app.queues;
  name text;
begin
  -- nobody claims or commits until we are done. Whoever has a lock on a queue table has read this one before, and is waited for here: one after the
  -- other, their tables would be locked in the wrong order for a call that commits on one queue and claims on another
  lock table app.queues in access exclusive mode;
  perform app.ensure_queues();
  for queue in select q.* from app.queues as q order by q.queue_name loop
    name := pgmq.format_table_name(queue.queue_name, 'q');
    execute format('lock table pgmq.%I in access exclusive mode', name);
    execute format($sql$
      with held as (
        select s.msg_id, s.read_ct, s.run_id, s.task_key, s.partition_key, s.worker, s.started_at from app.run_steps as s where s.status = 'PENDING' and s.queue_name = $1 and s.msg_id is not null
      ), made as (
        insert into pgmq.%1$I (msg_id, read_ct, enqueued_at, vt, message) overriding system value
        select h.msg_id, h.read_ct, least(h.started_at, clock_timestamp()), clock_timestamp() + $2 * interval '1 second', jsonb_build_object('runId', h.run_id, 'taskKey', h.task_key, 'partition', h.partition_key, 'worker', h.worker)
        from held as h where not exists (select from pgmq.%1$I as m where m.msg_id = h.msg_id)
        returning msg_id
      ), dropped as (
        delete from pgmq.%1$I as m where not exists (
          select from held as h where h.msg_id = m.msg_id and h.run_id = m.message ->> 'runId' and h.task_key = m.message ->> 'taskKey')
        returning msg_id
      )
      select $1, (select count(*) from made), (select count(*) from dropped)
      $sql$, name) into rebuild_dispatch.queue_name, made, dropped using queue.queue_name, queue.lease_seconds;
    execute format('select setval(pg_get_serial_sequence(%L, ''msg_id''), greatest((select max(msg_id) from pgmq.%I), nextval(pg_get_serial_sequence(%1$L, ''msg_id''))))',
      format('pgmq.%I', name), name);
    return next;
  end loop;
end
$$;
comment on function app.rebuild_dispatch() is
  'Makes the leases anew from app.run_steps, under the ids that their workers know: what is under way goes on as if nothing had happened. Returns what was missing and what was too much. Holds up claims and commits while it works.';
