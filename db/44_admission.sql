-- Admission: who is next. Steps wait as rows; a claim takes them partition by partition, in weighted round robin, and leases them to the worker.
--
--   app.claim(worker, app_version, queue, n, limited) → setof app.assignment
--
-- Each call looks at no more than n partitions (at a thousand, where some are full or paused), starting where this connection stopped: a session
-- setting "round left start", so that no table is written for it, and a lost one costs nothing. A turn of a partition is its weight times
-- what falls to each; a claim that is too small for a turn leaves the rest of it for the next. Within a partition the lower priority number
-- goes first, then the older run; in every fourth round a step that has aged goes before both.
-- Invariant: one partition's backlog never delays another's first claim, and no priority another for ever. A claim never waits for a lock,
-- except for the other claims of a queue with limits (chapter 45).

create or replace function app.next_partitions(queue text, version text, start text, n integer)
returns text[]
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  -- a loose index scan: one index probe per partition, however long its backlog
  return array(with recursive part (partition_key) as (
    (select s.partition_key from app.run_steps as s
     where s.queue_name = queue and s.app_version = version and s.queue_seq is not null and s.partition_key >= start
     order by s.partition_key limit 1)
    union all
    select (
      select s.partition_key from app.run_steps as s
      where s.queue_name = queue and s.app_version = version and s.queue_seq is not null and s.partition_key > part.partition_key
      order by s.partition_key limit 1)
    from part where part.partition_key is not null
  )
  select part.partition_key from part where part.partition_key is not null limit n);
end
$$;
comment on function app.next_partitions(text, text, text, integer) is 'Up to n partitions with a backlog whose key is not less than start, in order.';

create or replace function app.pick(queue text, version text, partitions text[], quotas integer[], skip text[], n integer, fronts jsonb)
returns app.run_steps[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return (select array_agg(x.s) from (
    select line.s
    from unnest(partitions, quotas) with ordinality as p (partition_key, quota, ordinality)
      cross join lateral (
        select s from app.run_steps as s
        where s.queue_name = queue and s.app_version = version and s.partition_key = p.partition_key and s.queue_seq is not null
          and (s.priority, s.queue_seq) >= (coalesce((fronts -> p.partition_key ->> 0)::integer, 0), coalesce((fronts -> p.partition_key ->> 1)::bigint, 0))
          and s.run_id <> all (skip)
        order by s.priority, s.queue_seq, s.task_idx
        limit p.quota
        for update skip locked) as line
    limit n) as x);
end
$$;
comment on function app.pick(text, text, text[], integer[], text[], integer, jsonb) is
  'Locks up to n waiting steps, no more of a partition than its quota, from its front on (chapter 41), and skips those that somebody else is taking and those of the runs in skip.';

create or replace function app.pick_unheld(queue text, version text, partitions text[], quotas integer[], n integer, fronts jsonb)
returns app.run_steps[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return (select array_agg(x.s) from (
    select line.s
    from unnest(partitions, quotas) with ordinality as p (partition_key, quota, ordinality)
      cross join lateral (
        select f.s
        from (
          select s from app.run_steps as s
          where s.queue_name = queue and s.app_version = version and s.partition_key = p.partition_key and s.queue_seq is not null
            and (s.priority, s.queue_seq) >= (coalesce((fronts -> p.partition_key ->> 0)::integer, 0), coalesce((fronts -> p.partition_key ->> 1)::bigint, 0))
          order by s.priority, s.queue_seq, s.task_idx
          limit p.quota + 1000
          for update skip locked) as f
          cross join lateral (
            select 1 from app.runs as r where r.run_id = (f.s).run_id and r.status || '' <> 'ENQUEUED'
            union all
            select 1 from (select from app.runs as r where r.run_id = (f.s).run_id and r.status || '' = 'ENQUEUED' limit 1 for no key update skip locked) as mine
            limit 1) as r
        limit p.quota) as line
    limit n) as x);
end
$$;
comment on function app.pick_unheld(text, text, text[], integer[], integer, jsonb) is
  'As app.pick, but only steps that app.begin_steps will take: it locks the run of a first step, too, and passes over up to a thousand whose run somebody holds.';

create or replace function app.pick_aged(queue text, version text, partitions text[], quotas integer[], until timestamptz, n integer)
returns app.run_steps[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return (select array_agg(x.s) from (
    select line.s
    from unnest(partitions, quotas) with ordinality as p (partition_key, quota, ordinality)
      cross join lateral (
        -- behind the first priority: the one whose front has waited longest; a probe for each, the first twenty of them
        with recursive front (priority, enqueued_at, n) as (
          (select s.priority, null::timestamptz, 0 from app.run_steps as s
           where s.queue_name = queue and s.app_version = version and s.partition_key = p.partition_key and s.queue_seq is not null and p.quota > 0
           order by s.priority limit 1)
          union all
          select f.priority, f.enqueued_at, front.n + 1
          from front cross join lateral (
            select s.priority, s.enqueued_at from app.run_steps as s
            where s.queue_name = queue and s.app_version = version and s.partition_key = p.partition_key and s.queue_seq is not null and s.priority > front.priority
            order by s.priority, s.queue_seq limit 1) as f
          where front.n < 20
        )
        select front.priority from front where front.enqueued_at <= until order by front.enqueued_at limit 1) as aged
      cross join lateral (
        select s
        from (
          -- no more than its front: whoever looks on for what is old reads all that is young
          select l.ctid, l.queue_seq, l.task_idx from app.run_steps as l
          where l.queue_name = queue and l.app_version = version and l.partition_key = p.partition_key and l.priority = aged.priority and l.queue_seq is not null
          order by l.queue_seq, l.task_idx limit p.quota + 20) as f
          join app.run_steps as s on s.ctid = f.ctid
        where s.enqueued_at <= until
        order by f.queue_seq, f.task_idx
        limit p.quota
        for update of s skip locked) as line
    limit n) as x);
end
$$;
comment on function app.pick_aged(text, text, text[], integer[], timestamptz, integer) is
  'Locks up to n steps that have waited since until behind others of a lower priority number in their partition, no more of each than its quota; looks at twenty beyond that.';

create or replace function app.and_round(keys text[], from_the_start text[], n integer)
returns text[]
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return keys || array(
    select p.key from unnest(from_the_start) with ordinality as p (key, ordinality) where p.key <> all (keys) order by p.ordinality limit n - cardinality(keys));
end
$$;
comment on function app.and_round(text[], text[], integer) is
  'Partitions to the end of the line, and then those from its start, up to n.';

create or replace function app.pick_fairly(queue text, version text, keys text[], turns integer[], widest integer, n integer, round integer, until timestamptz, fronts jsonb)
returns app.run_steps[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  aged app.run_steps[];
  skip text[];            -- a variable: handed on with the collation of run_id, pick would compare all its arguments by that, and no index fits
begin
  if until is not null and fronts is null and round % 4 + widest >= 4 then
    aged := app.pick_aged(queue, version, keys,
      array(select (round + least(k.turn, n)) / 4 - round / 4 from unnest(turns) with ordinality as k (turn, ordinality) order by k.ordinality), until, n);
  end if;
  if aged is null then
    return app.pick(queue, version, keys, turns, '{}', n, fronts);
  elsif cardinality(aged) = n then
    return aged;
  end if;
  skip := array(select a.run_id from unnest(aged) as a);
  return aged || app.pick(queue, version, keys,
    array(
      select k.turn - (select count(*)::integer from unnest(aged) as a where a.partition_key = k.key)
      from unnest(keys, turns) with ordinality as k (key, turn, ordinality) order by k.ordinality),
    skip, n - cardinality(aged), fronts);
end
$$;
comment on function app.pick_fairly(text, text, text[], integer[], integer, integer, integer, timestamptz, jsonb) is
  'Picks up to n steps, from each partition its turn; of every four of them one for a step that has waited since until. round: where this is counted from; widest: the widest turn.';

create or replace function app.open_lines(keys text[], weights integer[], rooms integer[], turns integer[], picked app.run_steps[])
returns table (open_keys text[], open_weights integer[], open_rooms integer[])
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return query
    select array_agg(k.key order by k.ordinality), array_agg(k.weight order by k.ordinality), array_agg(k.room order by k.ordinality)
    from unnest(keys, weights, rooms, turns) with ordinality as k (key, weight, room, turn, ordinality)
    where k.turn > 0 and k.turn <= (select count(*) from unnest(picked) as p where p.partition_key = k.key);
end
$$;
comment on function app.open_lines(text[], integer[], integer[], integer[], app.run_steps[]) is
  'The partitions that gave their whole turn: only those may have more.';

create or replace function app.claim(worker text, app_version text, queue text, n integer, limited boolean)
returns setof app.assignment
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  cursor_name text := 'sisu.cursor_' || lower(queue);
  place text := coalesce(nullif(current_setting(cursor_name, true), ''), floor(random() * 4)::text || ' 0 ');
  round integer := split_part(place, ' ', 1)::integer;
  rest integer := split_part(place, ' ', 2)::integer;
  start text := substr(place, length(split_part(place, ' ', 1)) + length(split_part(place, ' ', 2)) + 3);
  rules app.queues;
  is_special boolean;     -- partitions are not alike
  keys text[];
  weights integer[];
  rooms integer[];
  turns integer[];
  widest integer;
  picked app.run_steps[];
  free app.run_steps[];
  is_first boolean := true;
  is_held boolean := false;   -- somebody holds runs of those that were picked
  missing integer := n;
  fronts jsonb := app.fronts(queue, claim.app_version);
  read bigint := app.entries_read('app.backlog_in_line');
  t timestamptz;
begin
  perform app.lock_queue(queue, limited);
  t := app.now();
  select q.* into rules from app.queues as q where q.queue_name = queue and q.paused_at is null;
  if rules.queue_name is null or (not limited and app.has_limits(rules)) then
    return; -- paused or limited a moment ago: the next call knows
  end if;
  is_special := limited or exists (select from app.partitions as p where p.queue_name = queue);
  if is_special then
    select o.keys, o.weights, o.rooms, o.room, o.seen into keys, weights, rooms, missing, place from app.open_queue(rules, worker, app_version, start, n, t) as o;
    if cardinality(keys) = 0 then
      perform set_config(cursor_name, round || ' 0 ' || place, false);
    end if;
  elsif fronts is not null then
    keys := app.keys_of(fronts, start);
  else
    keys := app.next_partitions(queue, app_version, start, n);
    if cardinality(keys) < n and start <> '' then
      keys := app.and_round(keys, app.next_partitions(queue, app_version, '', n), n);
    end if;
  end if;

  while cardinality(keys) > 0 and missing > 0 loop
    widest := 1 + (missing - 1) / cardinality(keys);
    turns := case when is_special then app.turns(weights, rooms, missing) else array_fill(widest, array[cardinality(keys)]) end;
    if is_first and rest > 0 and keys[1] = start then
      turns[1] := least(turns[1], rest);
    end if;
    picked := case when is_first then app.pick_fairly(queue, app_version, keys, turns, case when is_special then 100 else widest end, missing, round, t - rules.ageing_seconds * interval '1 second', fronts)
      when is_held then app.pick_unheld(queue, app_version, keys, turns, missing, fronts)
      else app.pick(queue, app_version, keys, turns, '{}', missing, fronts) end;
    perform app.keep_fronts(queue, app_version, fronts, keys, picked, app.entries_read('app.backlog_in_line') - read - coalesce(cardinality(picked), 0));
    fronts := coalesce(fronts, app.fronts(queue, app_version));
    if is_first then
      perform set_config(cursor_name, app.next_place(case when picked is not null and (cardinality(keys) < missing or keys[cardinality(keys)] collate "C" < start) then round + widest else round end, keys, turns, picked, missing), false);
      is_first := false;
    end if;
    exit when picked is null;
    free := app.begin_steps(picked, t);
    exit when is_held and cardinality(free) = 0;   -- not to be: pick_unheld has their runs
    is_held := cardinality(free) < cardinality(picked) or is_held;
    if cardinality(free) > 0 then
      if rules.rate_limit is not null or rules.rate_limit_per_partition is not null then
        perform app.use_tokens(rules, free, t);
      end if;
      if is_special then
        rooms := app.less_room(keys, rooms, free);
      end if;
      return query select * from app.hand_out(worker, queue, free, t);
    end if;
    if cardinality(picked) < missing then
      select o.* into keys, weights, rooms from app.open_lines(keys, weights, rooms, turns, picked) as o;
    end if;
    missing := missing - cardinality(free);
  end loop;
  if cardinality(keys) = 0 then
    perform app.keep_fronts(queue, app_version, fronts, keys, null, app.entries_read('app.backlog_in_line') - read);
  end if;
end
$$;
comment on function app.claim(text, text, text, integer, boolean) is
  'Leases up to n waiting steps of a queue to a worker, fairly over the partitions and within the limits. limited: whether the queue had limits just now.';

create or replace function app.next_place(round integer, keys text[], turns integer[], picked app.run_steps[], n integer)
returns text
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
declare
  -- of nothing, because somebody holds all that waits there: behind it
  last text := coalesce(picked[cardinality(picked)].partition_key, keys[cardinality(keys)]);
  turn integer := turns[array_position(keys, last)];
  rest integer := 0;
begin
  if turn > 1 and cardinality(picked) = n then
    rest := turn - (select count(*) from unnest(picked) as p where p.partition_key = last);
  end if;
  return round % 4 || ' ' || rest || ' ' || last || case when rest = 0 then chr(1) else '' end;
end
$$;
comment on function app.next_place(integer, text[], integer[], app.run_steps[], integer) is
  'Where the next claim of this connection begins: in the partition whose turn was cut short, else behind the last one.';

create or replace function app.begin_steps(picked app.run_steps[], t timestamptz)
returns app.run_steps[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  ids text[] := array(select s.run_id from unnest(picked) as s);
  fresh text[];
  places tid[];
begin
  -- by key, never by status: an index on that leads to all that wait
  select array_agg(r.run_id), array_agg(r.ctid) into fresh, places from (
    select r.run_id, r.ctid from app.runs as r where r.run_id = any (ids) and r.status || '' = 'ENQUEUED' order by r.run_id for no key update skip locked) as r;
  if fresh is not null then
    -- where it was found and locked it stays
    update app.runs as r set status = 'PENDING', started_at = coalesce(r.started_at, t), updated_at = t where r.ctid = any (places);
  end if;
  if cardinality(fresh) = cardinality(picked) then
    return picked;
  end if;
  ids := array(select r.run_id from app.runs as r where r.run_id = any (ids) and r.status || '' in ('PENDING', 'WAITING_INPUT'));
  return array(select picked[i] from generate_subscripts(picked, 1) as i where picked[i].run_id = any (ids) order by i);
end
$$;
comment on function app.begin_steps(app.run_steps[], timestamptz) is 'Runs at their first claim become PENDING. Returns the steps that may begin: not those whose run somebody holds at this moment.';
