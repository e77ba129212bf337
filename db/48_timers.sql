-- Timers: sleeps, retries, gate TTLs, run timeouts. Whoever claims next fires what is due.
--
--   app.fire_timers() → how many
--
-- Invariant: a timer fires once, never early, whoever is alive by then. Lock order: runs (skip locked) → timers.

create or replace function app.fire_timers()
returns integer
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  due app.timers[];
  m app.timers;
begin
  if not exists (select from app.timers as d where d.fired_at is null and d.closed_at is null and d.fire_at <= t) then
    return 0;
  end if;
  with first as materialized (
    select d.timer_id, d.run_id from app.timers as d where d.fired_at is null and d.closed_at is null and d.fire_at <= t order by d.fire_at limit 100
  ), run as materialized (
    select r.run_id from app.runs as r where r.run_id in (select f.run_id from first as f) order by r.run_id for no key update skip locked
  ), fired as (
    update app.timers as d set fired_at = t from first as f join run using (run_id)
    where d.timer_id = f.timer_id and d.fired_at is null and d.closed_at is null
    returning d as timer
  )
  select array_agg(f.timer order by (f.timer).fire_at, (f.timer).timer_id) into due from fired as f;
  foreach m in array coalesce(due, '{}') loop
    perform app.fire_timer(m, t);
  end loop;
  return coalesce(cardinality(due), 0);
end
$$;
comment on function app.fire_timers() is 'Fires up to 100 due timers and returns how many.';

create or replace function app.fire_timer(timer app.timers, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  run app.runs;
begin
  select r.* into run from app.runs as r where r.run_id = timer.run_id;
  if run.ended_at is not null then
    return;
  elsif timer.kind = 'retry' then
    perform app.enqueue_attempts(array[timer.run_id], array[timer.idx], array[timer.task_key], t);
  elsif timer.kind = 'gate_ttl' then
    perform app.expire_gate(timer.run_id, timer.gate_key, t);
  elsif timer.kind = 'sleep' and timer.task_key = ''
    and exists (select from app.recipe_steps as c where c.recipe_id = run.recipe_id and c.idx = timer.idx and c.handler is null)
  then
    perform app.advance(app.end_sleeps(array[timer.run_id], array[timer.idx], t), false, null, t);
  elsif timer.kind = 'sleep' then
    perform app.unpark(timer.run_id, timer.idx, timer.task_key);
  else
    perform app.fail_runs(array[timer.run_id], array[jsonb_build_object('code', 'run_timeout',
      'message', format('the run was not over after %s ms', run.timeout_ms))], t);
  end if;
end
$$;
comment on function app.fire_timer(app.timers, timestamptz) is 'What one due timer does; nothing when its run is over.';
