-- Retention: runs that are long over go, their names stay.
--
--   app.purge_runs(older_than, actor, reason, statuses, max_runs, dry_run) → {accepted, purged, bodies, more, dryRun}
--   app.drop_purged(started), app.start_headers(ids), app.v_started_runs (34)      for starts: a purged identity is a replay
--   app.purged_header(run_id), app.purged_refusal(run_id) (36)                for reads and control calls
--
-- A purge takes runs that ended before now - older_than, the oldest first, with everything that hangs on them, and leaves a tombstone in
-- app.purged_runs: the header and what the run was started with. Intents stay. A run that has forks stays until they are purged, and so does one
-- with a step in flight. A body that lost its last artifact goes in the same call, or in a later one when somebody may be about to use it.
-- Invariant: an identity is in app.runs or in app.purged_runs, never in both, and never runs twice; no artifact loses its bytes.
-- Lock order: one purge at a time → runs (skip locked) → as in 42 → loose bodies → locks of contents (tried, never waited for).

create or replace function app.check_purge(older_than interval, actor text, reason text, statuses text[], max_runs integer)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.refuse('purge_runs', (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path), '[]')
    from (
      select f.path, f.message from app.faults('purge_runs', jsonb_build_array(jsonb_build_object('older_than', check_purge.older_than::text,
        'actor', check_purge.actor, 'reason', check_purge.reason, 'statuses', check_purge.statuses, 'max_runs', check_purge.max_runs)), 'input') as f
      union all
      select 'older_than', 'must not be negative' where check_purge.older_than < interval '0'
      union all
      -- each part: those of different signs may add up to little and still lead out of the calendar on the way
      select 'older_than', 'must be between 0 and 100 years' where check_purge.older_than > interval '100 years'
        or abs(extract(year from check_purge.older_than)) > 100 or abs(extract(day from check_purge.older_than)) > 36600
      union all
      select format('statuses[%s]', s.ordinality - 1), 'must be SUCCESS, ERROR, CANCELLED or MAX_RECOVERY_ATTEMPTS_EXCEEDED: only what is over is purged'
      from unnest(check_purge.statuses) with ordinality as s (status, ordinality)
      where s.status is null or s.status not in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')) as f));
  if current_setting('transaction_isolation') <> 'read committed' then
    perform app.fail('PT409', 'wrong_isolation', 'purge_runs: has to see what others commit meanwhile', null, 'call it in read committed');
  end if;
end
$$;
comment on function app.check_purge(interval, text, text, text[], integer) is 'Raises PT400 that lists every fault of a purge.';

create or replace function app.is_purgeable(run_id text)
returns boolean
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select not exists (select from app.runs as f where f.forked_from = $1)
    and not exists (select from app.run_steps as s where s.run_id = $1 and s.ended_at is null);
$$;
comment on function app.is_purgeable(text) is 'True when a run has no fork and no step in flight.';

create or replace function app.runs_to_purge(cutoff timestamptz, statuses text[], max_runs integer)
returns text[]
language sql
stable
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
  -- a short scan per status from the oldest start on: what started before and ended after the cutoff, or has forks, is walked over
  select array(
    select p.run_id
    from (select distinct w.status from unnest(statuses) as w (status)) as st
      cross join lateral (
        select r.run_id, r.created_at from app.runs as r
        where r.status = st.status and r.created_at <= cutoff and r.ended_at <= cutoff and app.is_purgeable(r.run_id)
        order by r.created_at limit max_runs) as p
    order by p.created_at, p.run_id limit max_runs);
$$;
comment on function app.runs_to_purge(timestamptz, text[], integer) is 'The oldest runs that may go.';

create or replace function app.purge_runs(older_than interval, actor text, reason text, statuses text[] default null, max_runs integer default 1000,
  dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz;
  is_dry boolean := coalesce(purge_runs.dry_run, false);
  wanted text[] := coalesce(purge_runs.statuses, array['SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']);
  ids text[];
  many integer;
  bodies bigint := 0;
  is_full boolean;
begin
  perform app.check_purge(older_than, actor, reason, wanted, max_runs);
  if not is_dry then
    -- one purge at a time: two that free the same content would each believe that the other still needs it
    perform pg_advisory_xact_lock(hashtextextended('sisu_kodo.purge', 0));
  end if;
  t := app.now();   -- behind the lock: what another purge took meanwhile was there until then
  -- as many as shall go; if somebody holds them all, those that they stand before
  foreach many in array array[max_runs, max_runs + 1000] loop
    ids := app.runs_to_purge(t - older_than, wanted, many);
    -- of what was found, not of what could be had: one that somebody holds says nothing about the others
    is_full := cardinality(ids) >= max_runs;
    exit when is_dry;
    -- locked first, then looked at again: a fork, or a resume, may have come between
    ids := array(
      select f.run_id from unnest(ids) as f (run_id) cross join lateral (
        select from app.runs as r where r.run_id = f.run_id and r.status || '' = any (wanted) and r.ended_at <= t - older_than for update skip locked) as r limit max_runs);
    ids := array(select i.run_id from unnest(ids) as i (run_id) where app.is_purgeable(i.run_id));
    exit when cardinality(ids) > 0 or not is_full;
  end loop;
  if not is_dry then
    perform app.bury(ids, t);
    bodies := app.collect_bodies(max_runs * 10);
    if cardinality(ids) > 0 then
      perform app.audit('retention/purge', 'purge', purge_runs.actor, purge_runs.reason, t, jsonb_build_object('purged', cardinality(ids), 'bodies', bodies,
        'olderThan', older_than::text, 'statuses', to_jsonb(wanted)));
    end if;
  end if;
  return jsonb_build_object('accepted', true, 'purged', cardinality(ids), 'bodies', bodies, 'more', is_full and cardinality(ids) > 0, 'dryRun', is_dry);
end
$$;
comment on function app.purge_runs(interval, text, text, text[], integer, boolean) is
  'Purges up to max_runs (1-10000) runs that ended before now - older_than, oldest first, with everything that hangs on them; their ids stay as tombstones. statuses: terminal ones, all by default. Returns {accepted, purged, bodies, more, dryRun}: call again while there is more. Runs with forks go after their forks. PT400.';

create or replace function app.bury(run_ids text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
begin
  insert into app.purged_runs (run_id, root_id, header, arguments, purged_at)
  select r.run_id, r.root_id, h.header, jsonb_build_object('intent_id', r.intent_id, 'recipe_id', r.recipe_id, 'partition_key', r.partition_key,
    'lane', r.lane, 'priority', r.priority, 'workload', r.workload, 'budget', r.budget, 'timeout_ms', r.timeout_ms, 'tenant_id', r.tenant_id,
    'trace_id', r.trace_id, 'started_by', r.started_by, 'app_version', r.app_version, 'oc_mode', r.oc_mode, 'sbx_mode', r.sbx_mode, 'created_at', r.created_at), t
  from app.run_headers(run_ids) as h cross join lateral (select k.* from app.runs as k where k.run_id = h.run_id limit 1) as r;
  update app.settings as s set value = to_jsonb(app.epoch_ms(t)), updated_at = clock_timestamp() where s.key = 'last_purge';
  delete from app.run_steps as s where s.run_id = any (run_ids);
  delete from app.checkpoints as c where c.run_id = any (run_ids);
  delete from app.gate_replies as p where p.run_id = any (run_ids);
  delete from app.gates as g where g.run_id = any (run_ids);
  delete from app.timers as m where m.run_id = any (run_ids);
  delete from app.mock_receipts as m where m.run_id = any (run_ids);
  delete from app.schedule_ticks as e where e.run_id = any (run_ids);
  with gone as (
    delete from app.artifacts as a where a.run_id = any (run_ids) returning a.sha256, a.inline is null and a.kind <> 'none' as has_body
  )
  insert into app.loose_bodies (sha256, freed_at)
  select distinct gone.sha256, t from gone where gone.has_body order by gone.sha256
  on conflict do nothing;
  -- the tombstone is what allows it: chapter 28
  delete from app.runs as r where r.run_id = any (run_ids);
end
$$;
comment on function app.bury(text[], timestamptz) is 'Tombstones for these runs, and then everything else of them goes. The caller holds their locks.';

create or replace function app.collect_bodies(n integer)
returns bigint
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
declare
  -- whoever is about to refer to a content shares the lock of its group until it has committed
  taken text[] := array(
    select l.sha256 from (select o.sha256 from app.loose_bodies as o order by o.freed_at, o.sha256 limit n) as l
    where app.has_content_alone(l.sha256));
  collected bigint;
begin
  -- a statement of its own: it sees what those have committed
  with looked_at as (
    delete from app.loose_bodies as o where o.sha256 = any (taken) returning o.sha256
  )
  delete from app.artifact_blobs as b using looked_at as l
  where b.sha256 = l.sha256 and b.sha256 <> '140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe'
    and not exists (select from app.artifacts as a where a.sha256 = b.sha256 and a.inline is null and a.kind <> 'none');
  get diagnostics collected = row_count;
  return collected;
end
$$;
comment on function app.collect_bodies(integer) is 'Looks at up to n contents that lost an artifact and deletes those that have none left; those that somebody may be using stay for the next time.';

create or replace function app.drop_purged(started app.runs[])
returns app.runs[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  known text[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    -- an older snapshot cannot see the tombstones of purges since, but a lock on what they wrote fails with 40001
    perform from app.settings as s where s.key = 'last_purge' for share;
  end if;
  select array_agg(p.run_id) into known from app.purged_runs as p where p.run_id = any (array(select s.run_id from unnest(started) as s));
  if known is null then
    return started;
  end if;
  delete from app.runs as r where r.run_id = any (known);
  return (select array_agg(s) from unnest(started) as s where s.run_id <> all (known));
end
$$;
comment on function app.drop_purged(app.runs[]) is
  'Part of every start, right after the rows of new runs are there and before anything hangs on them: those that were purged before go again. Returns the others. Looks after the insert, because an insert waits for the purge of the same run and then succeeds.';

create or replace function app.start_headers(run_ids text[])
returns table (run_id text, header jsonb)
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  n bigint;
begin
  return query select h.run_id, h.header from app.run_headers(run_ids) as h;
  get diagnostics n = row_count;
  if n < cardinality(run_ids) then
    return query select p.run_id, app.purged_header(p.run_id) from app.purged_runs as p where p.run_id = any (run_ids);
  end if;
end
$$;
comment on function app.start_headers(text[]) is 'Headers of runs, of purged ones too.';
