-- Traces: what a runner needs to tell a collector about runs.
-- One trace per run; the spans of attempts are sent by the runners that executed them, everything that ends without one is found here.
--
--   app.note_ends(run_ids)                   part of every end of a run: keeps it for whoever collects, does nothing when nobody does
--   app.take_ends(n) → end_id, trace         for runners that collect: ends that were not sent yet, each with the attempts nobody has reported
--   app.forget_ends(end_ids) → how many      they are sent
--
-- An assignment tells a runner its place in the trace: startedAt (epoch µs) of an attempt that was parked, the parent {attempt, spanId} of a task.
--
-- Whoever takes ends collects, and ends are kept for the hour after that: a database where nobody does has none, and pays one look at a
-- setting per call that ends runs. An end that was taken and not forgotten comes again after half a minute, so it is sent at least once.

create or replace function app.note_ends(run_ids text[])
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if exists (select from app.settings as s where s.key = 'traces_until' and (s.value #>> '{}')::numeric > extract(epoch from clock_timestamp())) then
    insert into app.run_ends (run_id, status, error, reopened_at, ended_at)
    select r.run_id, r.status, case when r.error is not null then jsonb_build_object('code', r.error -> 'code', 'message', left(r.error ->> 'message', 1000)) end,
      r.reopened_at, r.ended_at
    from app.runs as r where r.run_id = any (run_ids) and r.ended_at is not null;
  end if;
end
$$;
comment on function app.note_ends(text[]) is 'Keeps the end of those runs that are over for whoever collects traces. The caller holds their locks.';

create or replace function app.epoch_us(t timestamptz)
returns bigint
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select (extract(epoch from t) * 1000000)::bigint;
$$;
comment on function app.epoch_us(timestamptz) is 'Microseconds since 1970: spans of short steps need them.';

create or replace function app.collect_traces(n integer)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if not exists (
    select from app.settings as s
    where s.key = 'traces_until' and (s.value #>> '{}')::numeric > extract(epoch from clock_timestamp() + interval '30 minutes'))
  then
    insert into app.settings as s (key, value) values ('traces_until', to_jsonb(extract(epoch from clock_timestamp() + interval '1 hour')))
    on conflict on constraint settings_pkey do update set value = excluded.value, updated_at = clock_timestamp();
  end if;
  delete from app.run_ends as e where e.end_id in (
    -- of the first n, for ids and times grow together: where none is so old, only these are looked at
    select o.end_id from app.run_ends as o
    where o.end_id = any (array(select f.end_id from app.run_ends as f order by f.end_id limit n)) and o.noted_at < clock_timestamp() - interval '1 hour'
    for update skip locked);
end
$$;
comment on function app.collect_traces(integer) is 'Says that somebody collects, for an hour from now; drops up to n ends that nobody could send for so long.';

create or replace function app.untold_attempts(ends app.run_ends[])
returns table (end_id bigint, attempts jsonb)
language sql
stable
parallel safe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
  select e.end_id, jsonb_agg(jsonb_build_object('idx', s.idx, 'stepId', s.step_id, 'taskKey', s.task_key, 'attempt', s.attempt, 'status', s.status,
    'error', case when s.error is not null then jsonb_build_object('code', s.error -> 'code', 'message', left(s.error ->> 'message', 1000)) end,
    'queue', s.queue_name, 'partition', nullif(s.partition_key, ''), 'worker', s.worker, 'msgId', s.msg_id, 'spanId', s.span_id, 'skipped', s.skipped,
    'startedAt', app.epoch_us(s.started_at), 'endedAt', app.epoch_us(s.ended_at),
    'parent', case when s.task_key <> '' then (
      select jsonb_build_object('attempt', p.attempt, 'spanId', p.span_id) from app.run_steps as p
      where p.run_id = s.run_id and p.idx = s.idx and p.task_key = '' and p.enqueued_at <= s.enqueued_at order by p.attempt desc limit 1) end)
    order by s.idx, s.task_idx nulls first, s.attempt)
  from unnest(ends) as e
    join app.runs as r on r.run_id = e.run_id
    cross join lateral (
      select a.* from app.run_steps as a left join (
        -- what a worker had reported in the second before it was lost it may not have sent
        select l.worker, min(l.started_at) - interval '1 second' as since, max(l.ended_at) as until from app.run_steps as l
        where l.run_id = e.run_id and l.lost and l.error ->> 'code' <> 'lease_released' group by l.worker) as lost on lost.worker = a.worker
      where a.run_id = e.run_id and a.started_at is not null and a.cached_from is null and a.ended_at >= coalesce(e.reopened_at, '-infinity')
        and a.ended_at < case when r.reopened_at > e.ended_at then r.reopened_at else 'infinity' end
        and (a.span_id is null or a.tasks_open is not null or a.ended_at between lost.since and lost.until)
      order by a.idx, a.task_idx nulls first, a.attempt limit 1000) as s
  group by e.end_id;
$$;
comment on function app.untold_attempts(app.run_ends[]) is
  'Up to 1000 attempts of each run that ended whose spans no runner has sent: executed by the engine or by a runner that does not trace, fanned out, lost.';

create or replace function app.take_ends(n integer)
returns table (end_id bigint, trace jsonb)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
set enable_seqscan = off
as $$
declare
  taken app.run_ends[];
begin
  perform app.check_input('take_ends', jsonb_build_object('n', take_ends.n));
  perform app.collect_traces(take_ends.n);
  with due as materialized (
    select e.end_id from app.run_ends as e where e.taken_at is null or e.taken_at < clock_timestamp() - interval '30 seconds'
    order by e.end_id limit take_ends.n for update skip locked
  ), held as (
    update app.run_ends as e set taken_at = clock_timestamp() from due where e.end_id = due.end_id returning e
  )
  select array_agg(held.e) into taken from held;
  return query
    select e.end_id, jsonb_build_object('runId', e.run_id, 'traceId', r.trace_id, 'status', e.status, 'error', e.error, 'recipe', c.name, 'version', c.version,
      'reopenedAt', app.epoch_us(e.reopened_at), 'startedAt', app.epoch_us(coalesce(e.reopened_at, r.created_at)), 'endedAt', app.epoch_us(e.ended_at),
      'source', case when r.forked_from is not null then (
        select jsonb_build_object('runId', f.run_id, 'traceId', f.trace_id) from app.runs as f where f.run_id = r.forked_from) end,
      'gates', (
        select jsonb_agg(jsonb_build_object('gateKey', g.gate_key, 'status', g.status, 'openedAt', app.epoch_us(g.opened_at),
          'settledAt', app.epoch_us(coalesce(g.answered_at, g.closed_at))) order by g.opened_at, g.gate_key)
        from app.gates as g where g.run_id = e.run_id and g.opened_at between coalesce(e.reopened_at, r.created_at) and e.ended_at),
      'attempts', a.attempts)
    from unnest(taken) as e
      join app.runs as r on r.run_id = e.run_id
      join app.recipes as c on c.recipe_id = r.recipe_id
      left join app.untold_attempts(taken) as a on a.end_id = e.end_id
    order by e.end_id;
end
$$;
comment on function app.take_ends(integer) is
  'For runners that send traces: up to n ends of runs that were not sent yet, oldest first, each as {runId, traceId, status, error, recipe, version, reopenedAt, startedAt, endedAt (epoch µs), source, gates, attempts}. What is not forgotten within half a minute is given out again.';

create or replace function app.forget_ends(end_ids bigint[])
returns bigint
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  n bigint;
begin
  perform app.check_input('forget_ends', jsonb_build_object('end_ids', forget_ends.end_ids));
  delete from app.run_ends as e where e.end_id = any (forget_ends.end_ids);
  get diagnostics n = row_count;
  return n;
end
$$;
comment on function app.forget_ends(bigint[]) is 'These ends are sent. Returns how many of them were kept.';
