-- The clock and the settings.
--
--   app.now() → timestamptz            the engine's clock: the database clock plus an offset that only tests set
--   app.advance(by interval)           moves it forward; timers, TTLs, retries and timeouts follow
--   app.put_setting(key, value)        writes a setting
--   app.setting(key) → text            reads one
--
-- No other clock decides anything, except leases and worker liveness: those use the real clock, because processes do.

create or replace function app.setting(key text)
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select s.value #>> '{}' from app.settings as s where s.key = $1;
$$;
comment on function app.setting(text) is 'Value of a setting as text, or null.';

create or replace function app.now()
returns timestamptz
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
begin
  return clock_timestamp() + coalesce((select make_interval(secs => (s.value #>> '{}')::double precision) from app.settings as s where s.key = 'clock_offset'), interval '0');
end
$$;
comment on function app.now() is 'The engine''s clock.';

create or replace function app.put_setting(key text, value jsonb)
returns void
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('put_setting', jsonb_build_object('key', put_setting.key, 'value', put_setting.value));
  perform app.refuse('put_setting', (
    select coalesce(jsonb_agg(jsonb_build_object('path', case f.message when 'is unknown' then 'key' else 'value' end,
      'message', case f.message when 'is unknown' then format('names no setting: %s', put_setting.key) else f.message end)), '[]')
    from app.faults('setting', jsonb_build_array(jsonb_build_object(put_setting.key, put_setting.value)), 'value') as f));
  insert into app.settings as s (key, value) values (put_setting.key, put_setting.value)
  on conflict on constraint settings_pkey do update set value = excluded.value, updated_at = clock_timestamp();
end
$$;
comment on function app.put_setting(text, jsonb) is 'Writes a setting. PT400 for an unknown key or a value it cannot have.';

create or replace function app.advance(by interval)
returns timestamptz
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('advance', jsonb_build_object('by', advance.by::text));
  if advance.by < interval '0' then
    perform app.fail('PT400', 'schema_violation', 'advance: by must not be negative: the clock never goes back',
      '[{"path": "by", "message": "must not be negative"}]');
  elsif app.setting('test_database') is distinct from 'true' then
    perform app.fail('PT409', 'not_a_test_database', 'advance: the clock of a database that is not marked as a test one does not move', null,
      'select app.put_setting(''test_database'', ''true''), where no run matters');
  end if;
  insert into app.settings as s (key, value) values ('clock_offset', to_jsonb(extract(epoch from advance.by)))
  on conflict on constraint settings_pkey do update
    set value = to_jsonb((s.value #>> '{}')::numeric + extract(epoch from advance.by)), updated_at = clock_timestamp();
  return app.now();
end
$$;
comment on function app.advance(interval) is 'For tests: moves the engine''s clock forward and returns it. PT409 unless the setting test_database is true.';
