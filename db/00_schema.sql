-- The schema, its roles and its settings.
-- Roles are shared by all databases of a server, so they are made only where they are missing.

create schema app;
comment on schema app is 'Sisu-Kodo: a durable workflow engine. Functions are the only way in; views are the oracles; app.v_invariants is empty when every promise holds.';

do $$
declare
  r text;
begin
  foreach r in array array['app_api', 'app_worker', 'app_ops', 'app_read'] loop
    if not exists (select 1 from pg_catalog.pg_roles where rolname = r) then
      begin
        execute format('create role %I nologin', r);
      exception when duplicate_object or unique_violation then
        null; -- another database of this server made it in the same moment
      end;
    end if;
  end loop;
end
$$;

create table app.settings (
  key        text primary key,
  value      jsonb not null,
  updated_at timestamptz not null default clock_timestamp()
);
comment on table app.settings is 'Engine-wide settings, one row each. Change them with app.put_setting.';
comment on column app.settings.key is 'default_recipe, oc_mode, sbx_mode, app_version, test_database; clock_offset (seconds; only app.advance writes it); code_hash, code_objects (the replay); traces_until (epoch seconds; only app.take_ends writes it); last_purge (epoch ms; only purges write it)';
comment on column app.settings.value is 'Any JSON; its shape belongs to the key.';
comment on column app.settings.updated_at is 'When the value was last written.';

insert into app.settings (key, value) values
  ('oc_mode', '"replay"'),
  ('sbx_mode', '"mock"'),
  ('app_version', '"0.1.0"'),
  ('last_purge', 'null');
