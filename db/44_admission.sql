-- Admission: who is next. Steps wait as rows; a claim takes them partition by partition, round robin, and leases them to the worker.
--
--   app.claim(worker, app_version, queue, n) → setof app.assignment
--
-- Each call looks at no more than n partitions, starting after the one where this connection stopped (a session setting: no table is
-- written for it, and a lost one costs nothing). Within a partition the lower priority number goes first, then the older run.
-- Invariant: one partition's backlog never delays another's first claim. A claim never waits for a lock.

create or replace function app.next_partitions(queue text, version text, after text, n integer)
returns text[]
language sql
stable
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
  -- a loose index scan: one index probe per partition, however long its backlog
  with recursive part (partition_key) as (
    (select s.partition_key from app.run_steps as s
     where s.queue_name = queue and s.app_version = version and s.queue_seq is not null and s.partition_key > after
     order by s.partition_key limit 1)
    union all
    select (
      select s.partition_key from app.run_steps as s
      where s.queue_name = queue and s.app_version = version and s.queue_seq is not null and s.partition_key > part.partition_key
      order by s.partition_key limit 1)
    from part where part.partition_key is not null
  )
  select array(select part.partition_key from part where part.partition_key is not null limit n);
$$;
comment on function app.next_partitions(text, text, text, integer) is 'Up to n partitions with a backlog whose key is greater than after, in order.';

create or replace function app.pick(queue text, version text, partitions text[], skip text[], n integer)
returns app.run_steps[]
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
  select array_agg(x.s) from (
    select line.s
    from unnest(partitions) with ordinality as p (partition_key, ordinality)
      cross join lateral (
        select s from app.run_steps as s
        where s.queue_name = queue and s.app_version = version and s.partition_key = p.partition_key and s.queue_seq is not null
          and s.run_id <> all (skip)
        order by s.priority, s.queue_seq, s.task_idx
        limit 1 + (n - 1) / cardinality(partitions)
        for update skip locked) as line
    limit n) as x;
$$;
comment on function app.pick(text, text, text[], text[], integer) is 'Locks up to n waiting steps, an equal share from each partition, and skips those that somebody else is taking and those of the runs in skip.';

create or replace function app.claim(worker text, app_version text, queue text, n integer)
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
  after text := coalesce(current_setting(cursor_name, true), '');
  parts text[];
  picked app.run_steps[];
  free app.run_steps[];
  skip text[] := '{}'::text[];
  missing integer := n;
begin
  parts := app.next_partitions(queue, claim.app_version, after, n);
  if cardinality(parts) < n then
    -- round again from the start, where '' is the partition of runs without a key
    parts := parts || array(
      select p.partition_key
      from (
        select '' as partition_key where exists (
          select from app.run_steps as s
          where s.queue_name = queue and s.app_version = claim.app_version and s.partition_key = '' and s.queue_seq is not null)
        union all select unnest(app.next_partitions(queue, claim.app_version, '', n))) as p
      where p.partition_key <> all (parts) limit n - cardinality(parts));
  end if;
  while cardinality(parts) > 0 and missing > 0 loop
    picked := app.pick(queue, claim.app_version, parts, skip, missing);
    exit when picked is null;
    free := app.begin_steps(picked);
    if cardinality(free) > 0 then
      perform set_config(cursor_name, free[cardinality(free)].partition_key, false);
      return query select * from app.lease_steps(worker, queue, free);
    end if;
    exit when (cardinality(parts) = 1 and cardinality(free) = cardinality(picked)) or cardinality(skip) > 100;
    missing := missing - cardinality(free);
    skip := skip || array(select k.run_id from unnest(picked) as k where k.run_id <> all (array(select f.run_id from unnest(free) as f)));
  end loop;
end
$$;
comment on function app.claim(text, text, text, integer) is 'Leases up to n waiting steps of a queue to a worker, fairly over the partitions.';

create or replace function app.begin_steps(picked app.run_steps[])
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
  t timestamptz := app.now();
  ids text[] := array(select s.run_id from unnest(picked) as s);
  fresh text[];
begin
  -- by key, never by status: an index on that leads to all that wait
  fresh := array(
    select r.run_id from app.runs as r where r.run_id = any (ids) and r.status || '' = 'ENQUEUED' order by r.run_id for no key update skip locked);
  if cardinality(fresh) > 0 then
    update app.runs as r set status = 'PENDING', started_at = coalesce(r.started_at, t), updated_at = t where r.run_id = any (fresh);
  end if;
  ids := array(select r.run_id from app.runs as r where r.run_id = any (ids) and r.status || '' in ('PENDING', 'WAITING_INPUT'));
  return array(select picked[i] from generate_subscripts(picked, 1) as i where picked[i].run_id = any (ids) order by i);
end
$$;
comment on function app.begin_steps(app.run_steps[]) is 'Runs at their first claim become PENDING. Returns the steps that may begin: not those whose run somebody holds at this moment.';

create or replace function app.lease_steps(worker text, queue text, picked app.run_steps[])
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
  t timestamptz := app.now();
  ids bigint[];
begin
  ids := app.send_leases(queue, array(select jsonb_build_object('runId', s.run_id, 'taskKey', s.task_key) from unnest(picked) as s),
    (select q.lease_seconds from app.queues as q where q.queue_name = queue));
  return query
    with leased as (
      update app.run_steps as s set status = 'PENDING', queue_seq = null, worker = lease_steps.worker, msg_id = f.msg_id, read_ct = 0, started_at = coalesce(s.started_at, t)
      from (select f.run_id, f.idx, f.task_key, f.attempt, m.msg_id
        from unnest(picked) with ordinality as f join unnest(ids) with ordinality as m (msg_id, ordinality) using (ordinality)) as f
      where s.run_id = f.run_id and s.idx = f.idx and s.task_key = f.task_key and s.attempt = f.attempt
      returning s.*
    )
    select 'assigned', s.run_id, s.step_id, s.idx, s.task_key, s.attempt, s.queue_name, s.msg_id, s.read_ct,
      case s.task_key when '' then c.handler else c.fan_handler end, case s.task_key when '' then c.timeout_ms else c.fan_timeout_ms end,
      jsonb_build_object('intent', i.body, 'recipe', jsonb_build_object('name', p.name, 'version', p.version, 'settings', p.settings),
        'outputs', case s.idx when 0 then '{}' else (
          select coalesce(jsonb_object_agg(o.step_id, o.output), '{}') from app.run_steps as o
          where o.run_id = s.run_id and o.task_key = '' and o.status = 'SUCCESS') end,
        'gates', case when s.idx = 0 and not c.is_gated and k.checkpoints is null then '{}' else (
          select coalesce(jsonb_object_agg(g.gate_key, g.payload), '{}') from app.gates as g where g.run_id = s.run_id and g.status = 'ANSWERED') end,
        'task', s.input, 'ocMode', r.oc_mode, 'sbxMode', r.sbx_mode, 'traceId', r.trace_id, 'queuePartitionKey', nullif(r.partition_key, ''))
        || case when k.checkpoints is null and s.task_key = '' and s.started_at = t then '{}' else
          -- its place in the trace of the run
          jsonb_strip_nulls(jsonb_build_object('startedAt', case when s.started_at < t then app.epoch_us(s.started_at) end,
            'parent', case when s.task_key <> '' then (
              select jsonb_build_object('attempt', o.attempt, 'spanId', o.span_id) from app.run_steps as o
              where o.run_id = s.run_id and o.idx = s.idx and o.task_key = '' order by o.attempt desc limit 1) end))
          || case when k.checkpoints is null then '{}' else jsonb_build_object('checkpoints', k.checkpoints) end end,
      null::text
    from leased as s
      join app.runs as r on r.run_id = s.run_id
      join app.intents as i on i.intent_id = r.intent_id
      join app.recipes as p on p.recipe_id = r.recipe_id
      join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = s.idx
      cross join lateral (
        -- an attempt that begins for the first time has none
        select jsonb_agg(jsonb_build_object('seq', p.seq, 'kind', p.kind, 'name', p.name, 'value', case p.kind
            when 'sleep' then p.value || jsonb_build_object('over', (p.value ->> 'wakeAt')::bigint <= app.epoch_ms(t))
            when 'gate' then (
              select coalesce(jsonb_object_agg('payload', g.payload), '{}') from app.gates as g
              where g.run_id = p.run_id and g.gate_key = p.name and g.status = 'ANSWERED')
            else p.value end) order by p.seq)
        from app.checkpoints as p
        where (s.attempt > 1 or s.started_at < t) and p.run_id = s.run_id and p.idx = s.idx and p.task_key = s.task_key) as k (checkpoints);
end
$$;
comment on function app.lease_steps(text, text, app.run_steps[]) is 'Gives picked steps to a worker: message sent invisible, attempt PENDING with the fencing token.';
