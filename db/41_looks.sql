-- Looks: what is dear is not done at once again.
--
--   app.may_look(name) · app.looked(name, in_vain)   a look that walked past much that is over, and when it is due again
--   app.entries_read(index)                          how much was walked past
--   app.fronts(queue, version), app.keep_fronts(…)   how far a claim had come in each partition
--
-- While a transaction holds a snapshot, nobody may clear away what has gone through an index since, and each scan from its front walks past all of
-- it again. So a look that did says so, and this session repeats it only after forty times as long. Until then a claim goes on in each partition
-- where it had come to, and does not see what lies before that: a step that came later with a lower priority number, one that came back to its
-- old place, one that has aged, a partition that is new. While nothing is held up, every look is cheap and always from the front.
-- (Expired leases are looked for in between as well, from the oldest on that there was: chapter 54.)
-- What counts is the entries that were read, not the time it took: a slow machine changes nothing. Session settings hold all this; a lost
-- one costs a look.

create or replace function app.may_look(name text)
returns boolean
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select coalesce(nullif(current_setting('sisu.again_' || lower(name), true), ''), '-infinity')::timestamptz <= clock_timestamp();
$$;
comment on function app.may_look(text) is 'Whether the look of this name is due again in this session (real clock).';

create or replace function app.looked(name text, in_vain bigint)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  -- an entry takes about a quarter of a microsecond; a look at a thousand partitions that have nothing reads two thousand
  select set_config('sisu.again_' || lower(name), case when in_vain > 3000 then (clock_timestamp() + in_vain * interval '10 microseconds')::text else '' end, false)
  where in_vain > 3000 or nullif(current_setting('sisu.again_' || lower(name), true), '') is not null;
$$;
comment on function app.looked(text, bigint) is 'The look of this name walked past so many index entries that led to nothing.';

create or replace function app.entries_read(index regclass)
returns bigint
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  select coalesce(pg_stat_get_xact_tuples_returned(index), 0);
$$;
comment on function app.entries_read(regclass) is 'How many entries of an index this transaction has read so far: the difference of two tells what lay between.';

create or replace function app.fronts(queue text, version text)
returns jsonb
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  kept jsonb := nullif(current_setting('sisu.fronts_' || lower(queue), true), '')::jsonb;
begin
  return case when kept ->> 'version' = fronts.version and not app.may_look('line_' || queue) then kept -> 'fronts' end;
end
$$;
comment on function app.fronts(text, text) is '{partition: [priority, queue_seq]} where claims of this session go on, or null where they look from the front.';

create or replace function app.keep_fronts(queue text, version text, fronts jsonb, keys text[], picked app.run_steps[], in_vain bigint)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  setting text := 'sisu.fronts_' || lower(queue);
  kept jsonb := nullif(current_setting(setting, true), '')::jsonb;
begin
  if fronts is null then
    perform app.looked('line_' || queue, in_vain);
    if in_vain <= 3000 then
      if kept is not null then
        perform set_config(setting, '', false);
      end if;
      return;
    end if;
    -- a partition in which nothing waits now keeps its front: what comes next goes behind it
    fronts := case when kept ->> 'version' = version and cardinality(keys) + (select count(*) from jsonb_object_keys(kept -> 'fronts')) < 1000 then kept -> 'fronts' else '{}' end;
    fronts := (select coalesce(jsonb_object_agg(k.key, '[0, 0]'::jsonb), '{}') from unnest(keys) as k (key)) || fronts;
  end if;
  if fronts <> '{}' and (picked is not null or in_vain > 3000) then
    fronts := fronts || coalesce((
      select jsonb_object_agg(p.partition_key, jsonb_build_array(p.priority, p.queue_seq))
      from (
        select distinct on (s.partition_key) s.partition_key, s.priority, s.queue_seq from unnest(picked) as s
        order by s.partition_key, s.priority desc, s.queue_seq desc) as p), '{}');
    perform set_config(setting, jsonb_build_object('version', version, 'fronts', fronts)::text, false);
  end if;
end
$$;
comment on function app.keep_fronts(text, text, jsonb, text[], app.run_steps[], bigint) is
  'After a pick that walked past so many entries in vain: where the next one goes on, if it was dear. fronts: as app.fronts said; keys: the partitions it went through.';

create or replace function app.keys_of(fronts jsonb, start text)
returns text[]
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select array(select k.key from jsonb_object_keys(fronts) as k (key) order by k.key collate "C" < start, k.key collate "C");
$$;
comment on function app.keys_of(jsonb, text) is 'The partitions of fronts, from start on and round.';
