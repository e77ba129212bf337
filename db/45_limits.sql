-- Limits: how much of a queue may be handed out at this moment.
--
--   app.lock_queue(queue, alone)                       claims of a limited queue one after the other, those of others side by side
--   app.open_queue(rules, worker, version, start, n, t)   how many steps a claim may have, from which partitions, how many of each
--   app.rate_room(rules, key, t) · app.use_tokens(…)   rate limits: what is free in the window, and what was taken from it
--   app.sample_queues()                                the pace at which queues are handed out, for the oracles
--
-- What counts as running is a lease, one that has expired and that nobody took over included: a run that waits for a human, a timer or its
-- tasks has none. A rate counts what is handed out from the line; the next step of a lane that its worker keeps was counted with the lane.
-- Invariant: at no instant are more leases committed than the limits allow, and no window holds more tokens; whoever looks at both and adds
-- to them is alone in it until his transaction is over. Lock order: after everything else, in the order of queue names.

create or replace function app.lock_queue(queue text, alone boolean)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if not alone then
    perform pg_advisory_xact_lock_shared(5459, hashtext(queue));
    return;
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    perform app.fail('PT409', 'isolation_level', format('the limits of queue %s cannot be kept in a transaction that is %s', queue, current_setting('transaction_isolation')),
      null, 'begin isolation level read committed');
  end if;
  perform pg_advisory_xact_lock(5459, hashtext(queue));
end
$$;
comment on function app.lock_queue(text, boolean) is
  'Until the end of the transaction: with others that take from a queue without limits, or alone, for its limits. PT409 in a transaction that cannot see what others have committed meanwhile.';

create or replace function app.turns(weights integer[], rooms integer[], n integer)
returns integer[]
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return array(
    select least(k.room, k.weight * (1 + (n - 1) / t.weights))
    from unnest(weights, rooms) with ordinality as k (weight, room, ordinality)
      cross join (select sum(w)::integer as weights from unnest(weights) as w) as t
    order by k.ordinality);
end
$$;
comment on function app.turns(integer[], integer[], integer) is
  'The turn of each partition in a claim of n: by weight, within its room.';

create or replace function app.less_room(keys text[], rooms integer[], given app.run_steps[])
returns integer[]
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return array(
    select k.room - (select count(*)::integer from unnest(given) as g where g.partition_key = k.key)
    from unnest(keys, rooms) with ordinality as k (key, room, ordinality) order by k.ordinality);
end
$$;
comment on function app.less_room(text[], integer[], app.run_steps[]) is
  'The room that is left to each partition after these steps.';

create or replace function app.has_limits(rules app.queues)
returns boolean
language plpgsql
stable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return num_nonnulls(rules.max_running, rules.max_running_per_partition, rules.max_running_per_worker, rules.rate_limit, rules.rate_limit_per_partition) > 0
    or exists (select from app.partitions as p where p.queue_name = rules.queue_name and p.max_running is not null);
end
$$;
comment on function app.has_limits(app.queues) is 'Whether claims of a queue have to count.';

create or replace function app.rate_room(queue text, key text, rate integer, seconds integer, t timestamptz)
returns integer
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
  select rate - coalesce(sum(k.tokens), 0)::integer from app.rate_tokens as k
  where k.queue_name = queue and k.partition_key = key and k.used_at > t - seconds * interval '1 second';
$$;
comment on function app.rate_room(text, text, integer, integer, timestamptz) is 'Tokens of a partition that are free; null without a rate.';

create or replace function app.queue_room(rules app.queues, n integer, running bigint, of_worker bigint, t timestamptz)
returns integer
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
  select greatest(0, least(n, rules.max_running - coalesce(running, 0), rules.max_running_per_worker - coalesce(of_worker, 0), case when rules.rate_limit is not null then
    rules.rate_limit - (
      select coalesce(sum(k.tokens), 0) from app.rate_tokens as k
      where k.queue_name = rules.queue_name and k.used_at > t - rules.rate_seconds * interval '1 second') end))::integer;
$$;
comment on function app.queue_room(app.queues, integer, bigint, bigint, timestamptz) is 'How many of n steps the limits of a queue as a whole allow a worker.';

create or replace function app.admissible(rules app.queues, keys text[], busy text[], running bigint[], t timestamptz)
returns table (partition_key text, weight integer, room integer)
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
  select k.key, coalesce(p.weight, 1), m.room
  from unnest(keys) with ordinality as k (key, ordinality)
    -- a probe for each of them, however many partitions have a row
    left join lateral (
      select o.weight, o.max_running, o.paused_at from app.partitions as o where o.queue_name = rules.queue_name and o.partition_key = k.key limit 1) as p on true
    left join unnest(busy, running) as b (key, running) on b.key = k.key
    cross join lateral (
      select least(2147483647, coalesce(p.max_running, rules.max_running_per_partition) - coalesce(b.running, 0),
        case when rules.rate_limit_per_partition is not null then app.rate_room(rules.queue_name, k.key, rules.rate_limit_per_partition, rules.rate_seconds_per_partition, t) end)::integer) as m (room)
  where p.paused_at is null and m.room > 0
  order by k.ordinality;
$$;
comment on function app.admissible(app.queues, text[], text[], bigint[], timestamptz) is
  'Those of some partitions that are neither paused nor full nor out of tokens, with their weight and how many steps each may have. busy and running: the leases per partition.';

create or replace function app.open_partitions(rules app.queues, version text, start text, n integer, busy text[], running bigint[], t timestamptz)
returns table (keys text[], weights integer[], rooms integer[], seen text)
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  looked integer := 0;
  size integer := least(100, greatest(10, n));
  is_second boolean := start = '';
  chunk text[];
begin
  keys := '{}';
  weights := '{}';
  rooms := '{}';
  seen := start;
  while looked < 1000 and cardinality(keys) < n loop
    chunk := app.next_partitions(rules.queue_name, version, seen, size);
    if is_second and start <> '' then
      chunk := array(select c from unnest(chunk) as c where c collate "C" < start);
    end if;
    select keys || array_agg(a.partition_key), weights || array_agg(a.weight), rooms || array_agg(a.room) into keys, weights, rooms
    from (select * from app.admissible(rules, chunk, busy, running, t) limit n - cardinality(keys)) as a;
    if cardinality(chunk) = size then
      seen := chunk[size] || chr(1);
    elsif is_second then
      return next;
      return;
    else
      is_second := true;
      seen := '';
    end if;
    looked := looked + greatest(1, cardinality(chunk));
    size := least(100, 2 * size);
  end loop;
  return next;
end
$$;
comment on function app.open_partitions(app.queues, text, text, integer, text[], bigint[], timestamptz) is
  'Up to n admissible partitions with a backlog, from start on and round again, each with its weight and its room; looks at a thousand. seen: where it stopped.';

create or replace function app.open_queue(rules app.queues, worker text, version text, start text, n integer, t timestamptz)
returns table (keys text[], weights integer[], rooms integer[], room integer, seen text)
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  busy text[];
  running bigint[];
begin
  room := n;
  seen := start;
  if app.has_limits(rules) then
    select array_agg(c.partition_key), array_agg(c.running), app.queue_room(rules, n, sum(c.running)::bigint, sum(c.of_worker)::bigint, t)
    into busy, running, room from app.count_leases(rules.queue_name, worker) as c;
  end if;
  if room > 0 then
    select o.keys, o.weights, o.rooms, o.seen into keys, weights, rooms, seen
    from app.open_partitions(rules, version, start, room, busy, running, t) as o;
  else
    keys := '{}';
  end if;
  return next;
end
$$;
comment on function app.open_queue(app.queues, text, text, text, integer, timestamptz) is
  'What a claim of n may take at this moment from a queue with limits or with partitions that are not alike: room steps in all, from which partitions, how many of each.';

create or replace function app.use_tokens(rules app.queues, given app.run_steps[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  insert into app.rate_tokens as k (queue_name, partition_key, used_at, tokens)
  select rules.queue_name, g.partition_key, t, count(*) from unnest(given) as g group by g.partition_key
  on conflict on constraint rate_tokens_pkey do update set tokens = k.tokens + excluded.tokens;
  perform app.drop_tokens(rules.queue_name, t - greatest(rules.rate_seconds, rules.rate_seconds_per_partition) * interval '1 second', 1000);
end
$$;
comment on function app.use_tokens(app.queues, app.run_steps[], timestamptz) is 'The steps were handed out at t: their tokens are used, and old ones forgotten.';

create or replace function app.drop_tokens(queue text, until timestamptz, n integer)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
  delete from app.rate_tokens as k
  using (
    select o.partition_key, o.used_at from app.rate_tokens as o where o.queue_name = queue and o.used_at <= until
    order by o.used_at limit n for update skip locked) as old
  where k.queue_name = queue and k.partition_key = old.partition_key and k.used_at = old.used_at;
$$;
comment on function app.drop_tokens(text, timestamptz, integer) is 'Deletes up to n rows of tokens that were used so long ago.';

create or replace function app.sample_queues()
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  queue app.queues;
  last app.queue_samples;
  n bigint;
begin
  for queue in select q.* from app.queues as q order by q.queue_name loop
    select m.* into last from app.queue_samples as m where m.queue_name = queue.queue_name order by m.at desc limit 1;
    if last.at is null or last.at < clock_timestamp() - interval '10 seconds' then
      n := app.handed_out(queue.queue_name);
      if n is distinct from last.handed_out then
        -- another session's of the same microsecond says the same
        insert into app.queue_samples (queue_name, at, handed_out) values (queue.queue_name, clock_timestamp(), n) on conflict do nothing;
        delete from app.queue_samples as m
        where (m.queue_name, m.at) in (
          select o.queue_name, o.at from app.queue_samples as o
          where o.queue_name = queue.queue_name and o.at < clock_timestamp() - interval '1 hour' order by o.at limit 100 for update skip locked);
      end if;
    end if;
    if exists (select from app.rate_tokens as k where k.queue_name = queue.queue_name) then
      perform app.drop_tokens(queue.queue_name,
        app.now() - coalesce(greatest(queue.rate_seconds, queue.rate_seconds_per_partition), 0) * interval '1 second', 1000);
    end if;
  end loop;
end
$$;
comment on function app.sample_queues() is
  'Notes how much each queue has handed out, every ten seconds at most and only where something was; forgets samples after an hour and tokens that no window reaches.';
