-- Ticks: schedules that are due start their runs. Whoever claims next fires them, as it fires timers.
--
--   app.fire_schedules() → how many runs started      part of work
--
-- A tick becomes an intent of its own, that of the schedule with inputs.scheduledTick {schedule, at}, and a run of it, with the artifact
-- ScheduledTick. What is found late is decided once, for all ticks that are due: on time, skipped or caught up; those that shall start do so
-- a few a call. A tick that cannot start is written down as refused and the schedule goes on: it never stops the runners.
-- Invariant: a tick is decided once, by its key, and a tick that started has exactly its run. The work of a call is bounded whatever the delay.
-- Lock order: schedules (skip locked) → new runs; nobody who holds a run waits for a schedule.

create or replace function app.tick_text(t timestamptz)
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
$$;
comment on function app.tick_text(timestamptz) is 'A tick as intents carry it: ISO 8601, UTC.';

create or replace function app.fire_schedules()
returns integer
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  due app.schedules[];
  schedule app.schedules;
  started integer := 0;
begin
  -- as in app.fire_timers
  if coalesce((select min(s.next_at) from app.schedules as s where s.next_at is not null) > t, true) then
    return 0;
  end if;
  -- new ticks before those that were owed already: a schedule that catches up does not delay another
  due := array(select s from app.schedules as s where s.next_at <= t order by s.owed_until is not null, s.next_at limit 20 for update skip locked);
  foreach schedule in array due loop
    started := started + app.fire_schedule(schedule, t);
  end loop;
  return started;
end
$$;
comment on function app.fire_schedules() is 'Fires up to 20 due schedules, up to 10 ticks each, and returns how many runs started.';

create or replace function app.fire_schedule(schedule app.schedules, t timestamptz)
returns integer
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  cron app.cron := app.read_cron(schedule.cron);
  outcome text;
  started integer := 0;
begin
  if schedule.owed_until is null then
    schedule := app.owe_ticks(schedule, cron, t);
  end if;
  for i in 1 .. 10 loop
    exit when coalesce(schedule.next_at > schedule.owed_until, true);
    outcome := app.start_tick(schedule, t);
    exit when outcome = 'later';
    schedule.last_error := case outcome when 'refused' then (
      select e.error || jsonb_build_object('tickAt', app.tick_text(e.tick_at)) from app.schedule_ticks as e where e.name = schedule.name and e.tick_at = schedule.next_at) end;
    started := started + (outcome = 'started')::integer;
    schedule.last_tick_at := schedule.next_at;
    schedule.next_at := app.cron_tick(cron, schedule.timezone, schedule.next_at, false);
  end loop;
  update app.schedules as s set next_at = schedule.next_at, last_tick_at = schedule.last_tick_at, last_error = schedule.last_error,
    owed_until = case when schedule.next_at <= schedule.owed_until then schedule.owed_until end
  where s.name = schedule.name;
  return started;
end
$$;
comment on function app.fire_schedule(app.schedules, timestamptz) is 'Decides what is due of one schedule and starts up to 10 of its ticks; returns how many did.';

create or replace function app.owe_ticks(schedule app.schedules, cron app.cron, t timestamptz)
returns app.schedules
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  missed timestamptz := app.cron_tick(cron, schedule.timezone, t - schedule.grace_seconds * interval '1 second', true); -- the newest that is late
  first timestamptz := schedule.next_at;
  earlier timestamptz;
begin
  if missed >= schedule.next_at then
    if schedule.catch_up = 'skip' then
      first := app.cron_tick(cron, schedule.timezone, missed, false);
    else
      first := missed;
      for i in 2 .. case schedule.catch_up when 'all' then schedule.catch_up_cap else 1 end loop
        earlier := app.cron_tick(cron, schedule.timezone, first, true);
        exit when coalesce(earlier < schedule.next_at, true);
        first := earlier;
      end loop;
    end if;
  end if;
  if first is distinct from schedule.next_at then
    schedule.last_tick_at := coalesce(app.cron_tick(cron, schedule.timezone, first, true), missed);
    insert into app.schedule_ticks (name, tick_at, outcome, fired_at, first_tick_at)
    values (schedule.name, schedule.last_tick_at, 'skipped', t, schedule.next_at) on conflict do nothing;
    schedule.next_at := first;
  end if;
  schedule.owed_until := case when first <= t then t end;
  return schedule;
end
$$;
comment on function app.owe_ticks(app.schedules, app.cron, timestamptz) is
  'Which of the ticks that are due shall start: from next_at to owed_until. Those before are skipped, as one row. Costs no more than catch_up_cap steps back.';

create or replace function app.start_tick(schedule app.schedules, t timestamptz)
returns text
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  tick jsonb := jsonb_build_object('schedule', schedule.name, 'at', app.tick_text(schedule.next_at));
  state text;
  said text;
  told text;
begin
  perform app.start_tick_run(schedule, tick, t);
  return 'started';
exception when others then
  -- a schedule that cannot start must not keep every runner from working
  get stacked diagnostics state = returned_sqlstate, said = message_text, told = pg_exception_detail;
  if app.is_passing(state) then
    return 'later'; -- a passing failure: the tick stays due
  end if;
  insert into app.schedule_ticks (name, tick_at, outcome, fired_at, error)
  values (schedule.name, schedule.next_at, 'refused', t, jsonb_build_object('sqlstate', state, 'message', said,
    'code', case when state like 'PT%' then told::jsonb ->> 'code' else 'internal_error' end))
  on conflict do nothing; -- it was decided before: the key refused it
  return 'refused';
end
$$;
comment on function app.start_tick(app.schedules, timestamptz) is 'Starts the tick next_at of a schedule: started, refused (written down) or later (try again).';

create or replace function app.start_tick_run(schedule app.schedules, tick jsonb, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  body jsonb := jsonb_set(schedule.intent, '{inputs,scheduledTick}', tick);
  id text := app.intent_id(body);
  late interval := t - schedule.next_at;
begin
  insert into app.intents (intent_id, body) values (id, body) on conflict do nothing;
  perform app.begin_runs(array[app.start_requests(jsonb_build_array(app.schedule_options(schedule.name, schedule.options) || jsonb_build_object('intentId', id)))], 'options');
  insert into app.artifacts (run_id, step_id, idx, kind, name, media_type, size, sha256, inline, created_at)
  select id, 'ScheduledTick', 0, 'json_diagnostic', 'scheduled-tick.json', 'application/json', length(b.bytes), app.sha256_hex(b.bytes), d.inline, t
  from (select tick || jsonb_build_object('firedAt', to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'lateMS', floor(extract(epoch from late) * 1000), 'catchUp', late > schedule.grace_seconds * interval '1 second')) as d (inline)
    cross join lateral (select convert_to(app.canonical_json(d.inline), 'UTF8')) as b (bytes);
  insert into app.schedule_ticks (name, tick_at, outcome, run_id, fired_at) values (schedule.name, schedule.next_at, 'started', id, t);
end
$$;
comment on function app.start_tick_run(app.schedules, jsonb, timestamptz) is 'The intent of a tick, its run, the artifact ScheduledTick and the tick''s row: all or none.';
