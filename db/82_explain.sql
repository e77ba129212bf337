-- Explain: why is this run not moving, in one row.
--
--   app.explain_run(run_id) → (run_id, status, why, held_by, since, next_at, unblock)
--
-- The row answers what it waits for, who holds that, since when, what happens next by itself and when, and the SQL that would unblock it.
-- A transaction that was left open comes first: while it holds the run, nothing else that is said of it happens.

create or replace function app.explain_run(run_id text)
returns app.explanation
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  run app.runs;
begin
  perform app.check_run(explain_run.run_id);
  select r.* into run from app.runs as r where r.run_id = explain_run.run_id;
  return case
    when run.ended_at is not null then app.explain_ended(run)
    when run.status = 'WAITING_INPUT' then coalesce(app.explain_hold(run), app.explain_gate(run))
    else coalesce(app.explain_hold(run), app.explain_step(run), app.explain_timer(run)) end;
end
$$;
comment on function app.explain_run(text) is 'Why a run is not moving: (run_id, status, why, held_by, since, next_at, unblock). PT404.';

create or replace function app.explain_ended(run app.runs)
returns app.explanation
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select row(run.run_id, run.status, 'the run is over' || coalesce(': ' || (run.error ->> 'message'), ''), null, run.ended_at, null,
    case run.status
      when 'ERROR' then format('select app.repair_run(%L, actor => ''me'', reason => ''…'')', run.run_id)
      when 'SUCCESS' then null
      else format('select app.resume_run(%L, actor => ''me'', reason => ''…'')', run.run_id) end)::app.explanation;
$$;
comment on function app.explain_ended(app.runs) is 'Explanation of a terminal run.';

create or replace function app.explain_hold(run app.runs)
returns app.explanation
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  known bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;   -- whatever is over came before this
  locker xid;
  back bigint;
begin
  -- whoever locked the row last, or would change it: whether that is over is asked first, for mostly it is, and all locks are dear to list
  select r.xmax into locker from app.runs as r where r.run_id = run.run_id;
  back := (known - locker::text::bigint) & 4294967295;
  if locker = '0' or back between 1 and least(2147483647, known - 3) and pg_xact_status((known - back)::text::xid8) is distinct from 'in progress' then
    return null;
  end if;
  return (
    select row(run.run_id, run.status, format('an open transaction holds the run: process %s of %s', a.pid, a.usename)
        || coalesce(format(' (%s)', nullif(a.application_name, '')), '') || coalesce(', ' || a.state, ''),
      format('process %s', a.pid), a.xact_start, null, format('select pg_terminate_backend(%s)', a.pid))::app.explanation
    from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
    where l.locktype = 'transactionid' and l.transactionid = locker and l.mode = 'ExclusiveLock' and l.granted
      -- a call that is under way is none that was left open
      and a.xact_start < clock_timestamp() - interval '1 second' limit 1);
end
$$;
comment on function app.explain_hold(app.runs) is
  'Explanation of a run that a transaction has held for over a second: no claim, result or timer of it gets through. Null when none does, or when the owner of this function may not see (pg_read_all_stats) since when.';

create or replace function app.explain_gate(run app.runs)
returns app.explanation
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select case when g.expires_at <= app.now() then
      row(run.run_id, run.status, format('the time to answer the gate %s is over, any live worker ends it: %s', g.gate_key, app.runner_command(run.app_version, null)),
        'the clock', g.opened_at, g.expires_at, v.answer_with)::app.explanation
    else
      row(run.run_id, run.status, format('waits for a human at the gate %s%s%s%s', g.gate_key, coalesce(': ' || g.title, ''),
        case when v.missing > 1 then format(' (%s more have to say yes)', v.missing) else '' end,
        case when n.others > 0 then format(', and at %s more', n.others) else '' end), 'a human', g.opened_at, g.expires_at, v.answer_with)::app.explanation end
  from app.gates as g
    cross join lateral (select g.quorum - app.counted(g, g.shown_sha256), app.answer_with(g)) as v (missing, answer_with)
    cross join lateral (select count(*) - 1 as others from app.gates as o where o.run_id = run.run_id and o.status || '' = 'OPEN') as n
  where g.run_id = run.run_id and g.status || '' = 'OPEN' order by g.expires_at nulls last, g.idx, g.gate_key limit 1;
$$;
comment on function app.explain_gate(app.runs) is 'Explanation of a run that waits at a gate.';

create or replace function app.explain_timer(run app.runs)
returns app.explanation
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select row(run.run_id, run.status,
    case m.kind when 'sleep' then format('%s sleeps', n.name) else format('waits to try %s again after %s', n.name, s.error ->> 'code') end,
    'the clock', m.created_at, m.fire_at,
    case when m.fire_at < app.now() then format('any live worker fires it: %s', app.runner_command(run.app_version, null)) end)::app.explanation
  from app.timers as m
    join app.run_steps as s on s.run_id = m.run_id and s.idx = m.idx and s.task_key = m.task_key
    cross join lateral (select s.step_id || case when s.task_key = '' then '' else format(' task %s', s.task_idx) end) as n (name)
  where m.run_id = run.run_id and m.kind in ('retry', 'sleep') and coalesce(m.fired_at, m.closed_at) is null
  order by m.fire_at, s.attempt desc limit 1;
$$;
comment on function app.explain_timer(app.runs) is 'Explanation of a run that has nothing but time to wait for: a sleep, or the next try.';

create or replace function app.next_token(queue text, key text, rate integer, seconds integer)
returns timestamptz
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  -- the newest use with which the window is full: when it leaves the window, there is room
  select max(u.used_at) + seconds * interval '1 second' from (
    select k.used_at, sum(k.tokens) over (order by k.used_at desc) as n from app.rate_tokens as k
    where k.queue_name = queue and (key is null or k.partition_key = key) and k.used_at > app.now() - seconds * interval '1 second') as u
  where u.n >= rate;
$$;
comment on function app.next_token(text, text, integer, integer) is 'When a token of a rate is free again (of a whole queue: key null); null when one is free now.';

create or replace function app.raise_limit(call text, shape text, path text, value bigint)
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select format(call, least(2 * value, a.highest)) from app.v_arguments as a
  where a.shape = raise_limit.shape and a.path = raise_limit.path and value < a.highest;
$$;
comment on function app.raise_limit(text, text, text, bigint) is 'A call with twice this limit in the place of its %s, or the highest that there may be; null when there is no higher one.';

create or replace function app.explain_limits(rules app.queues, partition_limit integer, key text, version text)
returns table (reason text, held_by text, next_at timestamptz, unblock text)
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  with lease as (
    select l.partition_key, l.worker, l.run_id from app.leases() as l where l.queue_name = rules.queue_name
  ), full_of (place, reason, runs, next_at, unblock) as (
    select 1, format('waits for a slot, the limit %s of the queue is reached', rules.max_running), array_agg(l.run_id order by l.run_id), null::timestamptz,
      app.raise_limit(format('select app.set_limits(%L, ''{"maxRunning": %%s}'', actor => ''me'', reason => ''…'')', rules.queue_name), 'limits', 'maxRunning', rules.max_running)
    from lease as l having count(*) >= rules.max_running
    union all
    select 2, format('waits for a slot, the limit %s of its partition is reached', coalesce(partition_limit, rules.max_running_per_partition)),
      array_agg(l.run_id order by l.run_id), null,
      app.raise_limit(format('select app.set_partition(%L, %L, ''{"maxRunning": %%s}'', actor => ''me'', reason => ''…'')', rules.queue_name, replace(key, '%', '%%')),
        'partition_options', 'maxRunning', coalesce(partition_limit, rules.max_running_per_partition))
    from lease as l where l.partition_key = key having count(*) >= coalesce(partition_limit, rules.max_running_per_partition)
    union all
    select 3, format('its rate limit of %s in %s s is used up', v.rate, v.seconds), null, v.next_at,
      app.raise_limit(format('select app.set_limits(%L, ''{"%s": {"limit": %%s, "seconds": %s}}'', actor => ''me'', reason => ''…'')', rules.queue_name, v.name, v.seconds), 'rate', 'limit', v.rate)
    from (values
      ('rate', rules.rate_limit, rules.rate_seconds, app.next_token(rules.queue_name, null, rules.rate_limit, rules.rate_seconds)),
      ('ratePerPartition', rules.rate_limit_per_partition, rules.rate_seconds_per_partition,
        app.next_token(rules.queue_name, key, rules.rate_limit_per_partition, rules.rate_seconds_per_partition))) as v (name, rate, seconds, next_at)
    where v.next_at is not null
    union all
    select 4, format('waits for a slot, every worker that is there has reached the limit of %s', rules.max_running_per_worker),
      (select array_agg(l.run_id order by l.run_id) from lease as l), null,
      app.raise_limit(format('select app.set_limits(%L, ''{"maxRunningPerWorker": %%s}'', actor => ''me'', reason => ''…'')', rules.queue_name), 'limits', 'maxRunningPerWorker', rules.max_running_per_worker)
    where rules.max_running_per_worker is not null and not exists (
      select from app.workers as w
      where rules.queue_name = any (w.queues) and w.app_version = version and app.is_alive(w) and (select count(*) from lease as l where l.worker = w.worker) < rules.max_running_per_worker)
  )
  select f.reason, coalesce(array_to_string(f.runs[1:3], ', ') || case when cardinality(f.runs) > 3 then format(' and %s more', cardinality(f.runs) - 3) else '' end, 'the clock'),
    f.next_at, f.unblock
  from full_of as f order by f.next_at desc nulls last, f.place limit 1;
$$;
comment on function app.explain_limits(app.queues, integer, text, text) is 'The limit of a queue that keeps the steps of a partition and an app version in line at this moment, with the runs that hold the slots; no row when none does.';

create or replace function app.explain_step(run app.runs)
returns app.explanation
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select case
    when s.msg_id is not null and l.ends < clock_timestamp() then
      row(run.run_id, run.status, format('the lease of %s attempt %s has expired', n.name, s.attempt), s.worker, s.started_at, l.ends,
        format('any live worker of version %s takes over: %s', s.app_version, app.runner_command(s.app_version, null)))::app.explanation
    when s.msg_id is not null then
      row(run.run_id, run.status, format('%s attempt %s is being executed', n.name, s.attempt), s.worker, s.started_at, l.ends,
        format('select app.cancel_run(%L, actor => ''me'', reason => ''…'')', run.run_id))::app.explanation
    when q.paused_at is not null then
      row(run.run_id, run.status, format('%s waits in line on %s, which is paused: %s', n.name, q.queue_name, q.pause_reason), q.paused_by, q.paused_at, null,
        format('select app.unpause_queue(%L, actor => ''me'', reason => ''…'')', q.queue_name))::app.explanation
    when p.paused_at is not null then
      row(run.run_id, run.status, format('%s waits in line on %s, whose partition %s is paused: %s', n.name, q.queue_name, s.partition_key, p.pause_reason), p.paused_by, p.paused_at, null,
        format('select app.unpause_partition(%L, %L, actor => ''me'', reason => ''…'')', q.queue_name, s.partition_key))::app.explanation
    when not exists (select from app.workers as w where w.app_version = s.app_version and s.queue_name = any (w.queues) and app.is_alive(w)) then
      row(run.run_id, run.status, format('no live worker of version %s serves %s', s.app_version, s.queue_name), 'nobody', s.enqueued_at, null,
        app.runner_command(s.app_version, s.queue_name))::app.explanation
    when x.reason is not null then
      row(run.run_id, run.status, format('%s waits on %s: %s', n.name, s.queue_name, x.reason), x.held_by, s.enqueued_at, x.next_at, x.unblock)::app.explanation
    else
      row(run.run_id, run.status, format('%s waits in line on %s, %s before it in its partition', n.name, s.queue_name, a.n), 'the queue', s.enqueued_at, null,
        null)::app.explanation end
  from (
      -- one of them, before anything is asked about it: a fan-out has thousands
      select s.* from app.run_steps as s
      where s.run_id = run.run_id and s.status in ('ENQUEUED', 'PENDING') and (s.msg_id is not null or s.queue_seq is not null)
      order by s.msg_id is null, s.enqueued_at limit 1) as s
    join app.queues as q on q.queue_name = s.queue_name
    left join app.partitions as p on p.queue_name = s.queue_name and p.partition_key = s.partition_key
    left join lateral app.explain_limits(q, p.max_running, s.partition_key, s.app_version) as x on s.msg_id is null
    cross join lateral (select s.step_id || case when s.task_key = '' then '' else format(' task %s', s.task_idx) end) as n (name)
    cross join lateral (select case when s.msg_id is not null then app.lease_ends(s.queue_name, s.msg_id) end as ends) as l
    cross join lateral (
      select count(*) as n from (
        select from app.run_steps as o
        where s.queue_seq is not null and o.queue_name = s.queue_name and o.app_version = s.app_version and o.partition_key = s.partition_key
          and o.queue_seq is not null and (o.priority, o.queue_seq) < (s.priority, s.queue_seq) limit 1000) as o) as a;
$$;
comment on function app.explain_step(app.runs) is 'Explanation of a run whose step or task is being executed or waits in line (positions beyond 1000 count as 1000); null when none does.';
