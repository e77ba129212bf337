-- Cron: which instants an expression names, in a time zone. Nothing here reads or writes a table.
--
--   app.cron_next(expression, timezone, after) → timestamptz         the first tick after an instant; null when there is none for 8 years
--   app.cron_previous(expression, timezone, before) → timestamptz    the last one before it
--   app.cron_ticks(expression, timezone, after, n) → setof           the next n
--
-- Five fields as in crontab(5): minute, hour, day of month, month, day of week, each *, a number, a range a-b, one of these with a /step, or a
-- list of them; jan–dec, sun–sat, 7 is Sunday; @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually. When neither day field begins
-- with *, one of the two suffices. Clock changes, as in Debian's cron: a time of day that does not exist ticks at the first instant after the
-- gap, one that comes twice ticks the first time; but where the minute or the hour begins with *, real time counts: every hour ticks.

create or replace function app.cron_field(field text, lowest integer, highest integer, names text[])
returns table (accepted integer[], fault text)
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  term text;
  m text[];
  first integer;
  last integer;
  step integer;
begin
  accepted := '{}';
  foreach term in array string_to_array(field, ',') loop
    m := regexp_match(term, '^(?:(\*)|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]{1,4}))?$');
    first := case when m[1] is not null then lowest when m[2] ~ '^[0-9]{1,4}$' then m[2]::integer else lowest + array_position(names, m[2]) - 1 end;
    last := case when m[3] ~ '^[0-9]{1,4}$' then m[3]::integer when m[3] is not null then lowest + array_position(names, m[3]) - 1
      when m[1] is not null or m[4] is not null then highest else first end;
    step := coalesce(m[4]::integer, 1);
    fault := case
      when first is null or last is null then format('does not understand "%s"', term)
      when first not between lowest and highest or last not between lowest and highest then format('must be between %s and %s, not %s', lowest, highest, term)
      when first > last then format('has a range that runs backwards: %s', term)
      when step = 0 then format('has a step of 0: %s', term) end;
    exit when fault is not null;
    accepted := accepted || array(select v from generate_series(first, last, step) as v where v <> all (accepted)); -- 60 at most, however many terms
  end loop;
  accepted := array(select v from unnest(accepted) as v order by v);
  return next;
end
$$;
comment on function app.cron_field(text, integer, integer, text[]) is 'The values that one field of a cron expression names, in order, or the first thing that is wrong with it.';

create or replace function app.cron_fields(expression text)
returns table (name text, field text, accepted integer[], fault text)
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  plain text;
  parts text[];
begin
  if length(expression) > 1000 then
    return; -- longer than an expression may be (26): not read at all
  end if;
  plain := btrim(lower(expression), E' \t\r\n');
  parts := regexp_split_to_array(case plain when '@hourly' then '0 * * * *' when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
    when '@weekly' then '0 0 * * 0' when '@monthly' then '0 0 1 * *' when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *' else plain end, '\s+');
  if cardinality(parts) = 5 then
    return query select 'minute', parts[1], c.* from app.cron_field(parts[1], 0, 59, null) as c;
    return query select 'hour', parts[2], c.* from app.cron_field(parts[2], 0, 23, null) as c;
    return query select 'day-of-month', parts[3], c.* from app.cron_field(parts[3], 1, 31, null) as c;
    return query select 'month', parts[4], c.* from app.cron_field(parts[4], 1, 12,
      '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}') as c;
    return query select 'day-of-week', parts[5], c.* from app.cron_field(parts[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}') as c;
  end if;
end
$$;
comment on function app.cron_fields(text) is 'The five fields of a cron expression, read; no row when there are not five, or it is too long.';

create or replace function app.cron_faults(expression text, name text)
returns table (path text, message text)
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return query select cron_faults.name || '.' || f.name, f.fault from app.cron_fields(expression) as f where f.fault is not null;
  if length(expression) <= 1000 and expression ~ '\S' and not exists (select from app.cron_fields(expression)) then
    return query select cron_faults.name,
      'must have five fields (minute hour day-of-month month day-of-week), or be @hourly, @daily, @weekly, @monthly or @yearly';
  end if;
end
$$;
comment on function app.cron_faults(text, text) is 'Every fault of a cron expression, by field. name is what the caller knows it by.';

create or replace function app.read_cron(expression text)
returns app.cron
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  one record;
  cron app.cron := row(null, null, null, null, null, true, false);
begin
  for one in select f.* from app.cron_fields(expression) as f loop
    if one.fault is not null then
      return null;
    end if;
    case one.name
      when 'minute' then cron.minutes := one.accepted;
      when 'hour' then cron.hours := one.accepted;
      when 'day-of-month' then cron.days := one.accepted;
      when 'month' then cron.months := one.accepted;
      else cron.weekdays := array(select w % 7 from unnest(one.accepted) as w);
    end case;
    cron.any_day := cron.any_day and not (one.name like 'day-%' and one.field like '*%');
    cron.real_time := cron.real_time or (one.name in ('minute', 'hour') and one.field like '*%');
  end loop;
  return case when cron.weekdays is not null then cron end;
end
$$;
comment on function app.read_cron(text) is 'A cron expression, read; null when it has a fault.';

create or replace function app.is_timezone(name text)
returns boolean
language plpgsql
immutable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform timestamp '2000-01-01' at time zone name;
  return true;
exception when invalid_parameter_value then
  return false; -- only the conversion can tell; pg_timezone_names reads six hundred files
end
$$;
comment on function app.is_timezone(text) is 'True for what Postgres accepts as a time zone.';

create or replace function app.cron_local(cron app.cron, place timestamp, back boolean)
returns timestamp
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  start timestamp := case when back then place - interval '1 microsecond' else place end;
  day date := start::date;
  hour integer := extract(hour from start);
  minute integer;
  days integer := 0;   -- how far it looked
begin
  while days <= 3000 loop -- 29 February comes after eight years at the latest
    if extract(month from day)::integer <> all (cron.months) then
      day := case when back then date_trunc('month', day) else date_trunc('month', day) + interval '1 month' - interval '1 day' end;
    elsif (case when cron.any_day
      then extract(day from day)::integer = any (cron.days) or extract(dow from day)::integer = any (cron.weekdays)
      else extract(day from day)::integer = any (cron.days) and extract(dow from day)::integer = any (cron.weekdays) end)
    then
      if day = start::date then
        if hour = any (cron.hours) then
          minute := case when back then (select max(m) from unnest(cron.minutes) as m where m <= extract(minute from start))
            else (select min(m) from unnest(cron.minutes) as m where m > extract(minute from start)) end;
        end if;
        if minute is null then
          hour := case when back then (select max(h) from unnest(cron.hours) as h where h < hour) else (select min(h) from unnest(cron.hours) as h where h > hour) end;
        end if;
      else
        hour := case when back then cron.hours[cardinality(cron.hours)] else cron.hours[1] end;
      end if;
      if hour is not null then
        return day + make_time(hour, coalesce(minute, case when back then cron.minutes[cardinality(cron.minutes)] else cron.minutes[1] end), 0);
      end if;
    end if;
    day := case when back then day - 1 else day + 1 end;
    days := abs(day - start::date);
  end loop;
  return null;
end
$$;
comment on function app.cron_local(app.cron, timestamp, boolean) is 'The next time of the calendar that an expression names, whatever the zone; back: the one before. Null when there is none within a little more than eight years.';

create or replace function app.local_instant(local timestamp, timezone text)
returns timestamptz
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  t timestamptz := local at time zone timezone;
  seen timestamp := t at time zone timezone;
  gone interval;
  before timestamptz;
  middle timestamptz;
begin
  gone := ((t - interval '24 hours') at time zone timezone) - (seen - interval '24 hours');
  if seen = local then
    -- it exists; of a time that comes twice, Postgres means the second
    return case when gone > interval '0' and (t - gone) at time zone timezone = local then t - gone else t end;
  end if;
  -- in a gap, Postgres means as long after its end as the time lies after its beginning: look for the end
  before := t - (seen - local);
  while t - before > interval '1 second' loop
    middle := date_trunc('second', before + (t - before) / 2);
    if (middle at time zone timezone) - (middle at time zone 'UTC') = (t at time zone timezone) - (t at time zone 'UTC') then
      t := middle;
    else
      before := middle;
    end if;
  end loop;
  return t;
end
$$;
comment on function app.local_instant(timestamp, text) is 'When a clock of the zone first shows this time; the first instant after the gap when it never does.';

create or replace function app.cron_in_minutes(cron app.cron, timezone text, start timestamptz, back boolean)
returns timestamptz
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case when back then max(m.t) else min(m.t) end
  from generate_series(1, 1440) as n
    cross join lateral (select date_trunc('minute', start) + case when back then 1 - n else n end * interval '1 minute') as m (t)
    cross join lateral (select m.t at time zone timezone) as l (t)
  where m.t <> start and extract(hour from l.t)::integer = any (cron.hours) and extract(minute from l.t)::integer = any (cron.minutes)
    and extract(month from l.t)::integer = any (cron.months)
    and case when cron.any_day
      then extract(day from l.t)::integer = any (cron.days) or extract(dow from l.t)::integer = any (cron.weekdays)
      else extract(day from l.t)::integer = any (cron.days) and extract(dow from l.t)::integer = any (cron.weekdays) end;
$$;
comment on function app.cron_in_minutes(app.cron, text, timestamptz, boolean) is 'The first tick within 24 hours, by a look at every minute: for days on which the clocks change.';

create or replace function app.cron_tick(cron app.cron, timezone text, start timestamptz, back boolean)
returns timestamptz
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  day interval := case when back then interval '-24 hours' else interval '24 hours' end; -- a day would be the session's
  shift interval;   -- local time minus UTC
  place timestamp := start at time zone timezone;
  t timestamptz := start;
begin
  if not cron.real_time then
    if back then
      -- in an hour that comes again, the first time reached further
      place := place + greatest(interval '0', ((t + day) at time zone timezone) - (t + day) at time zone 'UTC' - (place - t at time zone 'UTC'));
    end if;
    loop
      place := app.cron_local(cron, place, back);
      t := app.local_instant(place, timezone);
      if place is null or (back and t < start) or (not back and t > start) then
        return t;
      end if;
    end loop;
  end if;

  for i in 1 .. 100 loop
    shift := t at time zone timezone - t at time zone 'UTC';
    if shift <> (t + day) at time zone timezone - (t + day) at time zone 'UTC' then
      start := app.cron_in_minutes(cron, timezone, t, back);
      if start is not null then
        return start;
      end if;
      t := t + day;
    else
      place := app.cron_local(cron, t at time zone timezone, back);
      start := (place - shift) at time zone 'UTC';
      if place is null or abs(extract(epoch from start - t)) <= 86400 then
        return start;
      end if;
      -- nothing before it by these clocks, but they may change on the way, by up to a day: go near, read it again
      t := case when abs(extract(epoch from start - t)) > 216000 then start - 1.5 * day else t + day end;
    end if;
  end loop;
  return null;
end
$$;
comment on function app.cron_tick(app.cron, text, timestamptz, boolean) is 'The first tick after an instant, or before it, of an expression that was read.';

create or replace function app.check_cron(expression text, timezone text, t timestamptz, name text)
returns app.cron
language plpgsql
immutable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  cron app.cron := app.read_cron(expression);
begin
  if cron is null or timezone is null or t is null or not (t between '1900-01-01 UTC' and '9900-01-01 UTC') or not app.is_timezone(timezone) then
    perform app.refuse('cron', (
      select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message)), '[]')
      from (
        select f.path, f.message from app.faults('cron', jsonb_build_array(jsonb_build_object('expression', expression, 'timezone', timezone)), 'cron') as f
        union all select f.path, f.message from app.cron_faults(expression, 'expression') as f
        union all select 'timezone', format('is not a time zone: %s', timezone) where not app.is_timezone(timezone)
        union all select name, case when t is null then 'is required' else 'must be between the years 1900 and 9900' end
          where t is null or not (t between '1900-01-01 UTC' and '9900-01-01 UTC')) as f));
  end if;
  return cron;
end
$$;
comment on function app.check_cron(text, text, timestamptz, text) is 'An expression, read. PT400 lists every fault of it, of the zone and of the instant.';

create or replace function app.cron_next(expression text, timezone text, after timestamptz)
returns timestamptz
language plpgsql
immutable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return app.cron_tick(app.check_cron(expression, timezone, after, 'after'), timezone, after, false);
end
$$;
comment on function app.cron_next(text, text, timestamptz) is
  'The first tick of a cron expression after an instant, in a time zone; null when there is none for eight years. PT400 names the faulty field.';

create or replace function app.cron_previous(expression text, timezone text, before timestamptz)
returns timestamptz
language plpgsql
immutable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return app.cron_tick(app.check_cron(expression, timezone, before, 'before'), timezone, before, true);
end
$$;
comment on function app.cron_previous(text, text, timestamptz) is
  'The last tick of a cron expression before an instant, in a time zone; null when there was none for eight years. PT400 names the faulty field.';

create or replace function app.cron_ticks(expression text, timezone text, after timestamptz, n integer)
returns setof timestamptz
language plpgsql
immutable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  cron app.cron := app.check_cron(expression, timezone, after, 'after');
  t timestamptz := after;
begin
  perform app.check_input('cron_ticks', jsonb_build_object('n', n));
  for i in 1 .. n loop
    t := app.cron_tick(cron, timezone, t, false);
    exit when t is null;
    return next t;
  end loop;
end
$$;
comment on function app.cron_ticks(text, text, timestamptz, integer) is 'The next n (1-1000) ticks of a cron expression after an instant. PT400 names the faulty field.';
