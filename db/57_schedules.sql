-- Schedules: an intent that is started again and again by the clock. What a person may do to one; chapter 58 fires them.
--
--   app.put_schedule(schedule jsonb, actor, reason, dry_run)      {name, cron, timezone, intent, options, catchUp, catchUpCap, graceSeconds}
--   app.pause_schedule(name, actor, reason, dry_run)              no tick of it starts
--   app.unpause_schedule(name, actor, reason, dry_run)            it goes on from now
--   app.delete_schedule(name, actor, reason, dry_run)             its runs and the record of its ticks stay
--
-- Every accepted call appends one OPS artifact under schedule/<name>; a refused one, a replay and a dry run write nothing.
-- Invariant: a schedule was fit to start its runs when it was put; a paused one says who, when and why. Lock: the schedule's row alone.

create or replace function app.schedule_faults(schedule jsonb, actor text, reason text)
returns table (path text, message text)
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select f.path, f.message from app.faults('put_schedule', jsonb_build_array(coalesce(schedule, 'null')), 'schedule') as f
  union all
  select f.path, f.message from app.faults('schedule', jsonb_build_array(jsonb_build_object('name', 'any', 'actor', actor, 'reason', reason)), '') as f
  union all
  select f.path, f.message from app.cron_faults(schedule ->> 'cron', 'cron') as f where jsonb_typeof(schedule -> 'cron') = 'string'
  union all
  select 'timezone', format('is not a time zone of pg_timezone_names: %s', schedule ->> 'timezone')
  where schedule ->> 'timezone' ~ '\S' and not exists (select from pg_timezone_names as z where z.name = schedule ->> 'timezone')
  union all
  select 'intent.' || f.path, f.message from app.faults('create_intent', jsonb_build_array(schedule -> 'intent'), 'intent') as f
  where jsonb_typeof(schedule -> 'intent') = 'object'
  union all
  select 'intent.inputs.scheduledTick', 'is what the schedule adds' where jsonb_typeof(schedule #> '{intent,inputs}') = 'object' and schedule #> '{intent,inputs}' ? 'scheduledTick'
  union all
  select 'options.' || f.path, f.message from app.option_faults(jsonb_build_array(schedule -> 'options'), 'options') as f
  where jsonb_typeof(schedule -> 'options') = 'object'
  union all
  select 'options.' || k.key, 'is unknown: the intent is that of the schedule' from unnest(array['intentId', 'intent']) as k (key)
  where jsonb_typeof(schedule -> 'options') = 'object' and schedule -> 'options' ? k.key;
$$;
comment on function app.schedule_faults(jsonb, text, text) is 'Every fault in the shape of a schedule, at any depth.';

create or replace function app.schedule_options(name text, options jsonb)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('startedBy', 'schedule/' || name) || options;
$$;
comment on function app.schedule_options(text, jsonb) is 'The options with which a tick starts its run: the schedule started it, unless startedBy says otherwise.';

create or replace function app.check_schedule_start(name text, options jsonb)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  request app.start_request := app.start_requests(jsonb_build_array(app.schedule_options(name, options)));
  faults jsonb;
begin
  select jsonb_agg(jsonb_build_object('path', 'options.' || f.path, 'message', f.message, 'code', f.code)) into faults from app.start_faults(array[request], 'options') as f;
  if faults is not null then
    perform app.fail('PT400', faults #>> '{0,code}', format('put_schedule: %s %s', faults #>> '{0,path}', faults #>> '{0,message}'),
      (select jsonb_agg(f - 'code') from jsonb_array_elements(faults) as f), 'fix the fields named in details; nothing was written');
  end if;
  if request.recipe_status is distinct from 'active' then
    if not exists (select from app.recipes as c where c.name = request.recipe_name and (request.recipe_version is null or c.version = request.recipe_version)) then
      perform app.fail('PT404', 'recipe_not_found', format('no recipe %s%s', request.recipe_name, ' version ' || request.recipe_version), null,
        'put and activate it: app.put_recipe, app.activate_recipe');
    end if;
    perform app.fail('PT409', 'recipe_not_active', format('recipe %s is not active', request.recipe_name),
      jsonb_build_object('status', coalesce(request.recipe_status, 'draft')), format('select app.activate_recipe(%L)', request.recipe_name));
  end if;
end
$$;
comment on function app.check_schedule_start(text, jsonb) is 'Raises what a tick of the schedule would be refused for today: PT400 for policy, PT404 for an unknown recipe, PT409 for one that is not active.';

create or replace function app.put_schedule(schedule jsonb, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz;
  old app.schedules;
  new app.schedules;
  first timestamptz;
  is_replay boolean;
begin
  perform app.refuse('put_schedule', (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from app.schedule_faults(put_schedule.schedule, put_schedule.actor, put_schedule.reason) as f));
  new := row(schedule ->> 'name', btrim(schedule ->> 'cron'), coalesce(schedule ->> 'timezone', 'UTC'), app.intent_body(schedule -> 'intent'),
    coalesce(nullif(schedule -> 'options', 'null'), '{}'), coalesce(schedule ->> 'catchUp', 'skip'), coalesce((schedule ->> 'catchUpCap')::integer, 100),
    coalesce((schedule ->> 'graceSeconds')::integer, 60), null, null, null, null, null, null, null, null, null);
  perform app.intent_id(new.intent);

  perform pg_advisory_xact_lock(hashtextextended('app.put_schedule ' || new.name, 0));
  select s.* into old from app.schedules as s where s.name = new.name for update;
  t := app.now();   -- behind the locks: while it waited a tick may have started, and the first of these comes after it
  first := app.cron_tick(app.read_cron(new.cron), new.timezone, t, false);
  if first is null then
    perform app.refuse('put_schedule', '[{"path": "cron", "message": "never comes within eight years"}]');
  end if;
  perform app.check_schedule_start(new.name, new.options);

  is_replay := coalesce((old.cron, old.timezone, old.intent, old.options, old.catch_up, old.catch_up_cap, old.grace_seconds)
    = (new.cron, new.timezone, new.intent, new.options, new.catch_up, new.catch_up_cap, new.grace_seconds), false);
  -- what is due stays due, unless the clock it goes by is another one
  new.next_at := case when old.paused_at is null then
    case when (old.cron, old.timezone) = (new.cron, new.timezone) then coalesce(old.next_at, first) else first end end;
  if not is_replay and not coalesce(put_schedule.dry_run, false) then
    insert into app.schedules as s (name, cron, timezone, intent, options, catch_up, catch_up_cap, grace_seconds, next_at, created_at, updated_at)
    values (new.name, new.cron, new.timezone, new.intent, new.options, new.catch_up, new.catch_up_cap, new.grace_seconds, new.next_at, t, t)
    on conflict on constraint schedules_pkey do update set cron = excluded.cron, timezone = excluded.timezone, intent = excluded.intent, options = excluded.options,
      catch_up = excluded.catch_up, catch_up_cap = excluded.catch_up_cap, grace_seconds = excluded.grace_seconds, next_at = excluded.next_at, owed_until = null,
      last_error = null, updated_at = excluded.updated_at;
    perform app.audit('schedule/' || new.name, 'put', put_schedule.actor, put_schedule.reason, t,
      jsonb_build_object('schedule', app.schedule_json(new), 'from', app.schedule_json(old)));
  end if;
  return jsonb_build_object('accepted', true, 'name', new.name, 'paused', old.paused_at is not null, 'nextAt', app.epoch_ms(new.next_at),
    'isNew', old.name is null, 'isReplay', is_replay, 'dryRun', coalesce(put_schedule.dry_run, false));
end
$$;
comment on function app.put_schedule(jsonb, text, text, boolean) is
  'Creates a schedule, or changes it: {name, cron, timezone?, intent, options?, catchUp?, catchUpCap?, graceSeconds?}; what is left out has its default (UTC, {}, skip, 100, 60). The same again is a replay. Ticks that are due stay due unless cron or timezone change. Returns {accepted, name, paused, nextAt, isNew, isReplay, dryRun}. PT400 lists every fault; PT404 and PT409 for a recipe that no tick could start.';

create or replace function app.schedule_json(schedule app.schedules)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case when schedule.name is not null then jsonb_build_object('name', schedule.name, 'cron', schedule.cron, 'timezone', schedule.timezone,
    'intent', schedule.intent, 'options', schedule.options, 'catchUp', schedule.catch_up, 'catchUpCap', schedule.catch_up_cap, 'graceSeconds', schedule.grace_seconds) end;
$$;
comment on function app.schedule_json(app.schedules) is 'A schedule as put_schedule takes it; null for none.';

create or replace function app.find_schedule(name text, actor text, reason text)
returns app.schedules
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  schedule app.schedules;
begin
  perform app.check_input('schedule', jsonb_build_object('name', find_schedule.name, 'actor', find_schedule.actor, 'reason', find_schedule.reason));
  select s.* into schedule from app.schedules as s where s.name = find_schedule.name for update;
  if not found then
    perform app.fail('PT404', 'schedule_not_found', format('no schedule %s', find_schedule.name), null, 'select * from app.v_schedules');
  end if;
  return schedule;
end
$$;
comment on function app.find_schedule(text, text, text) is 'Checks a control call and locks the schedule. PT400, PT404.';

create or replace function app.set_schedule_pause(name text, pause boolean, actor text, reason text, dry_run boolean)
returns jsonb
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  schedule app.schedules := app.find_schedule(set_schedule_pause.name, set_schedule_pause.actor, set_schedule_pause.reason);
  t timestamptz := app.now();   -- behind the lock
begin
  if pause and schedule.paused_at is not null then
    perform app.fail('PT409', 'schedule_paused', format('schedule %s is paused already, by %s: %s', schedule.name, schedule.paused_by, schedule.pause_reason),
      '{"status": "paused"}', format('select app.unpause_schedule(%L, actor => ''me'', reason => ''…'')', schedule.name));
  elsif not pause and schedule.paused_at is null then
    perform app.fail('PT409', 'schedule_not_paused', format('schedule %s is not paused', schedule.name), '{"status": "on"}', 'select * from app.v_schedules');
  end if;
  if not pause then
    schedule.next_at := app.cron_tick(app.read_cron(schedule.cron), schedule.timezone, t, false);
  end if;
  if not coalesce(set_schedule_pause.dry_run, false) then
    perform app.audit('schedule/' || schedule.name, case when pause then 'pause' else 'unpause' end, set_schedule_pause.actor, set_schedule_pause.reason, t,
      case when pause then '{}' else jsonb_build_object('pausedAt', app.epoch_ms(schedule.paused_at), 'pausedBy', schedule.paused_by, 'pauseReason', schedule.pause_reason) end);
    update app.schedules as s set paused_at = case when pause then t end, paused_by = case when pause then set_schedule_pause.actor end,
      pause_reason = case when pause then set_schedule_pause.reason end, next_at = case when not pause then schedule.next_at end, owed_until = null, updated_at = t
    where s.name = schedule.name;
  end if;
  return jsonb_build_object('accepted', true, 'name', schedule.name, 'paused', pause, 'nextAt', case when not pause then app.epoch_ms(schedule.next_at) end,
    'dryRun', coalesce(set_schedule_pause.dry_run, false));
end
$$;
comment on function app.set_schedule_pause(text, boolean, text, text, boolean) is 'What pause_schedule and unpause_schedule have in common.';

create or replace function app.pause_schedule(name text, actor text, reason text, dry_run boolean default false)
returns jsonb
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.set_schedule_pause(name, true, actor, reason, dry_run);
$$;
comment on function app.pause_schedule(text, text, text, boolean) is
  'Pauses a schedule: no tick of it starts any more, those that are due do not either; its runs go on. Returns {accepted, name, paused, nextAt, dryRun}. PT404 schedule_not_found, PT409 schedule_paused.';

create or replace function app.unpause_schedule(name text, actor text, reason text, dry_run boolean default false)
returns jsonb
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.set_schedule_pause(name, false, actor, reason, dry_run);
$$;
comment on function app.unpause_schedule(text, text, text, boolean) is
  'Lets a paused schedule go on from now; what it would have started meanwhile is not caught up. Returns {accepted, name, paused, nextAt, dryRun}. PT404 schedule_not_found, PT409 schedule_not_paused.';

create or replace function app.delete_schedule(name text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  schedule app.schedules := app.find_schedule(delete_schedule.name, delete_schedule.actor, delete_schedule.reason);
begin
  if not coalesce(delete_schedule.dry_run, false) then
    perform app.audit('schedule/' || schedule.name, 'delete', delete_schedule.actor, delete_schedule.reason, app.now(),
      jsonb_build_object('schedule', app.schedule_json(schedule)));
    delete from app.schedules as s where s.name = schedule.name;
  end if;
  return jsonb_build_object('accepted', true, 'name', schedule.name, 'dryRun', coalesce(delete_schedule.dry_run, false));
end
$$;
comment on function app.delete_schedule(text, text, text, boolean) is
  'Deletes a schedule; its runs go on, the record of its ticks and its audit trail stay. Returns {accepted, name, dryRun}. PT404 schedule_not_found.';
