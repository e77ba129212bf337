-- Timers: sleeps, retries, gate TTLs, run timeouts. Whoever claims next fires what is due.
--
--   app.fire_timers() → how many
--   app.sleep_run(run_id, ms) → run header, wakeAt, isReplay      a run of the caller's own id that does nothing but sleep
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
  error jsonb;
begin
  -- the first of all, not "one that is due": whoever expects a third to be due reads the table until it finds one
  if coalesce((select min(d.fire_at) from app.timers as d where d.fired_at is null and d.closed_at is null) > t, true) then
    return 0;
  end if;
  with first as materialized (
    select d.timer_id, d.run_id from app.timers as d where d.fired_at is null and d.closed_at is null and d.fire_at <= t order by d.fire_at limit 1000
  ), mine as materialized (
    -- the first hundred that nobody holds: those of one run that many work on would keep all others waiting
    select f.timer_id
    from first as f cross join lateral (select from app.runs as r where r.run_id = f.run_id limit 1 for no key update skip locked) as r limit 100
  ), fired as (
    update app.timers as d set fired_at = t from mine as f
    where d.timer_id = f.timer_id and coalesce(d.fired_at, d.closed_at) is null
    returning d as timer
  )
  select array_agg(f.timer order by (f.timer).fire_at, (f.timer).timer_id) into due from fired as f;
  if app.try_timers(coalesce(due, '{}'), t) is not null then
    -- each by itself: a run whose timer cannot fire ends, and keeps no other waiting
    foreach m in array due loop
      error := app.try_timers(array[m], t);
      if error is not null then
        perform app.fail_runs(array[m.run_id], array[error], t);
      end if;
    end loop;
  end if;
  return coalesce(cardinality(due), 0);
end
$$;
comment on function app.fire_timers() is 'Fires up to 100 due timers, of the first thousand those whose runs nobody holds at this moment, and returns how many.';

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

create or replace function app.try_timers(due app.timers[], t timestamptz)
returns jsonb
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  m app.timers;
begin
  foreach m in array due loop
    perform app.fire_timer(m, t);
  end loop;
  return null;
exception when others then
  if app.is_passing(sqlstate) then
    raise;
  end if;
  return jsonb_build_object('code', 'timer_failed', 'message', format('its %s timer could not fire: %s', m.kind, sqlerrm), 'retryable', false);
end
$$;
comment on function app.try_timers(app.timers[], timestamptz) is 'Fires these timers, all or none. Returns null, or the error of the one that could not fire.';

create or replace function app.sleep_recipe()
returns app.recipes
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  wanted constant jsonb := '{"name": "sleep", "description": "A run that does nothing but sleep (app.sleep_run).", "queue": "controlQ", "steps": [
    {"stepId": "sleep-before-sleep", "sleep": {"ms": 0}}, {"stepId": "sleep-after-sleep", "sleep": {"input": "sleepMS"}}]}'::jsonb;
  recipe app.recipes;
begin
  -- not whatever is active under this name: somebody else may have a recipe to sleep, too
  select r.* into recipe from app.recipes as r where r.name = 'sleep' and r.queue_name = 'controlQ' and r.body -> 'steps' = wanted -> 'steps' order by r.version limit 1;
  if not found then
    perform app.put_recipe(wanted);
    select r.* into recipe from app.recipes as r where r.name = 'sleep' order by r.version desc limit 1;
    if not exists (select from app.recipes as r where r.name = 'sleep' and r.status = 'active') then
      perform app.activate_recipe('sleep', recipe.version);
    end if;
  end if;
  return recipe;
end
$$;
comment on function app.sleep_recipe() is 'The recipe of app.sleep_run: an artifact before the sleep and one after it.';

create or replace function app.sleep_run(run_id text, ms bigint)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  recipe app.recipes;
  intent jsonb;
  is_new boolean;
begin
  perform app.check_input('sleep_run', jsonb_build_object('run_id', sleep_run.run_id, 'ms', sleep_run.ms));
  recipe := app.sleep_recipe();
  intent := app.create_intent(jsonb_build_object('goal', 'sleep', 'inputs', jsonb_build_object('workflowID', sleep_run.run_id, 'sleepMS', sleep_run.ms), 'constraints', '{}'::jsonb));
  insert into app.runs (run_id, intent_id, recipe_id, queue_name, app_version, trace_id, oc_mode, sbx_mode, created_at, updated_at, is_chain)
  values (sleep_run.run_id, intent ->> 'intentId', recipe.recipe_id, recipe.queue_name, app.setting('app_version'), replace(gen_random_uuid()::text, '-', ''),
    app.setting('oc_mode'), app.setting('sbx_mode'), t, t, recipe.is_chain)
  on conflict do nothing;
  is_new := found and app.drop_purged(array(select r from app.runs as r where r.run_id = sleep_run.run_id)) is not null;
  if is_new then
    perform app.enter_first_steps(array[sleep_run.run_id], t);
  else
    perform app.check_sleep_drift(sleep_run.run_id, sleep_run.ms);
  end if;
  return app.get_run(sleep_run.run_id) || jsonb_build_object('isReplay', not is_new, 'wakeAt', (
    select app.epoch_ms(r.created_at) + sleep_run.ms from app.v_started_runs as r where r.run_id = sleep_run.run_id));
end
$$;
comment on function app.sleep_run(text, bigint) is
  'A run under the caller''s id that sleeps ms and is over: whoever is alive wakes it at its start plus ms. Leaves the artifacts sleep-before-sleep and sleep-after-sleep. Returns the run header with isReplay and wakeAt. PT400; PT409 drift when the id has another run or another duration.';

create or replace function app.check_sleep_drift(run_id text, ms bigint)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  drift jsonb;
begin
  select to_jsonb(array_remove(array[app.drift('recipeName', c.name, 'sleep'), app.drift('sleepMS', i.body #> '{inputs,sleepMS}', to_jsonb(check_sleep_drift.ms))], null)) into drift
  from app.v_started_runs as r join app.intents as i using (intent_id) join app.recipes as c using (recipe_id) where r.run_id = check_sleep_drift.run_id;
  if drift <> '[]' then
    perform app.fail('PT409', 'drift', format('run %s exists with other arguments', check_sleep_drift.run_id), jsonb_build_object('drift', drift),
      'repeat the sleep with the stored arguments, or take another id');
  end if;
end
$$;
comment on function app.check_sleep_drift(text, bigint) is 'Raises PT409 when a run of this id is not such a sleep.';
