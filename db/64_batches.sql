-- Batches: control actions on many runs in one call.
--
--   app.cancel_batch, app.resume_batch, app.repair_batch(selection, actor, reason, dry_run)
--   app.fork_batch(selection, step_n, actor, reason, app_version, inputs, dry_run)
--   app.redrive(queue_name, actor, reason, max_runs, dry_run)      resumes the dead lanes of a queue, oldest first
--
-- selection is {"runIds": [1-1000 ids]}, or {"filter": {status, name, queue, partition, errorCode, olderThanMS, newerThanMS, limit}}: the
-- newest runs that fit. Without a status the filter takes those the action is for. Ages are counted from the start of a run.
-- Rows: (run_id, accepted, status, code, message, forked_run_id), one per run, in the order given; a run named twice is one run.
-- Each run is judged by app.control_refusal as in a call of its own: what is refused is reported and not touched, the rest is done and
-- audited, all in one transaction. status is that after the call. A dry run judges and writes nothing.
-- Lock order: all runs of the batch (by run_id) before the first is touched.

create or replace function app.check_batch(shape text, input jsonb)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  selection jsonb := input -> 'selection';
begin
  perform app.refuse(shape, (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from (
      select f.path, f.message from app.faults(shape, jsonb_build_array(input), 'input') as f
      union all
      select concat_ws('.', 'selection', nullif(f.path, '')), f.message from app.faults('selection', jsonb_build_array(selection), '') as f
      where jsonb_typeof(selection) = 'object'
      union all
      select 'selection', 'must have runIds or filter, and not both'
      where jsonb_typeof(selection) = 'object' and num_nonnulls(nullif(selection -> 'runIds', 'null'), nullif(selection -> 'filter', 'null')) <> 1
      union all
      select format('selection.runIds[%s]', e.ordinality - 1), m.message
      from jsonb_array_elements(case jsonb_typeof(selection -> 'runIds') when 'array' then selection -> 'runIds' else '[]' end) with ordinality as e
        cross join lateral app.fault(e.value, 'string', true, 1, 200, null, null) as m (message)
      where m.message is not null
      union all
      select concat_ws('.', 'selection.filter', nullif(f.path, '')), f.message
      from app.faults('selection_filter', jsonb_build_array(selection -> 'filter'), '') as f where jsonb_typeof(selection -> 'filter') = 'object') as f));
end
$$;
comment on function app.check_batch(text, jsonb) is 'Raises PT400 that lists every fault of a batch call.';

create or replace function app.select_runs(op text, selection jsonb)
returns text[]
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  filter jsonb := coalesce(nullif(selection -> 'filter', 'null'), '{}');
  n integer := coalesce((filter ->> 'limit')::integer, 100);
  youngest timestamptz := app.now() - coalesce((filter ->> 'olderThanMS')::bigint, 0) * interval '1 ms';
  oldest timestamptz := coalesce(app.now() - (filter ->> 'newerThanMS')::bigint * interval '1 ms', '-infinity');
  -- to resume what is in line already is allowed, but nothing to look for
  statuses text[] := case when op = 'resume' then array_remove(app.allowed_statuses(op), 'ENQUEUED') else app.allowed_statuses(op) end;
begin
  if jsonb_typeof(selection -> 'runIds') = 'array' then
    return array(
      select e.value from jsonb_array_elements_text(selection -> 'runIds') with ordinality as e group by e.value order by min(e.ordinality));
  elsif filter ->> 'status' is not null then
    statuses := array[filter ->> 'status'];
  end if;
  -- as in list_runs: a short index scan per status, newest first
  return array(
    select p.run_id
    from unnest(statuses) as st (status)
      cross join lateral (
        select r.run_id, r.created_at from app.runs as r
        where r.status = st.status and r.created_at <= youngest and r.created_at >= oldest
          and (filter ->> 'name' is null or r.recipe_id in (select c.recipe_id from app.recipes as c where c.name = filter ->> 'name'))
          and (filter ->> 'queue' is null or r.queue_name = filter ->> 'queue')
          and (filter ->> 'partition' is null or r.partition_key = filter ->> 'partition')
          and (filter ->> 'errorCode' is null or r.error ->> 'code' = filter ->> 'errorCode')
        order by r.created_at desc, r.run_id limit n) as p
    order by p.created_at desc, p.run_id limit n);
end
$$;
comment on function app.select_runs(text, jsonb) is
  'The ids that a selection names, in order. A filter stops at its limit; where few runs fit, it walks those of its statuses back to newerThanMS.';

create or replace function app.control_runs(op text, run_ids text[], actor text, reason text, dry_run boolean)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  t timestamptz;
  id text;
  run app.runs;
  refusal jsonb;
begin
  perform from app.runs as r where r.run_id = any (run_ids) order by r.run_id for no key update;
  t := app.now();   -- behind the locks, as in app.control_run: nothing ends before it began
  foreach id in array run_ids loop
    select r.* into run from app.runs as r where r.run_id = id;
    refusal := app.control_refusal(op, id, run);
    if refusal is null and not coalesce(dry_run, false) then
      perform app.apply_control(op, run, control_runs.actor, control_runs.reason, t);
    end if;
    return query select id, refusal is null, (select r.status from app.runs as r where r.run_id = id), refusal ->> 'code', refusal ->> 'message', null::text;
  end loop;
end
$$;
comment on function app.control_runs(text, text[], text, text, boolean) is 'Cancels, resumes or repairs these runs, each as far as it allows it.';

create or replace function app.fork_runs(run_ids text[], step_n integer, actor text, reason text, app_version text, inputs jsonb, dry_run boolean)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  t timestamptz;
  is_dry boolean := coalesce(dry_run, false);
  roots text[] := '{}'::text[];   -- of the forks that a dry run promises
  id text;
  source app.runs;
  refusal jsonb;
  forked text;
begin
  perform app.lock_sources(run_ids);
  t := app.now();
  foreach id in array run_ids loop
    select r.* into source from app.runs as r where r.run_id = id;
    refusal := app.control_refusal('fork', id, source, step_n);
    forked := null;
    if refusal is null then
      forked := app.fork_id(source, (select count(*) from unnest(roots) as k where k = coalesce(source.root_id, source.run_id)));
      if is_dry then
        roots := roots || coalesce(source.root_id, source.run_id);
      else
        perform app.make_fork(source, forked, step_n, fork_runs.actor, fork_runs.reason, fork_runs.app_version, fork_runs.inputs, t);
      end if;
    end if;
    return query select id, refusal is null, source.status, refusal ->> 'code', refusal ->> 'message', forked;
  end loop;
end
$$;
comment on function app.fork_runs(text[], integer, text, text, text, jsonb, boolean) is 'Forks these runs, each as far as it allows it.';

create or replace function app.cancel_batch(selection jsonb, actor text, reason text, dry_run boolean default false)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_batch('batch', jsonb_build_object('selection', cancel_batch.selection, 'actor', cancel_batch.actor, 'reason', cancel_batch.reason));
  return query select * from app.control_runs('cancel', app.select_runs('cancel', selection), cancel_batch.actor, cancel_batch.reason, dry_run);
end
$$;
comment on function app.cancel_batch(jsonb, text, text, boolean) is
  'Cancels many runs: selection {runIds} or {filter} (see app.v_arguments, selection_filter). One row per run: what cancel_run would do or refuse. PT400.';

create or replace function app.resume_batch(selection jsonb, actor text, reason text, dry_run boolean default false)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_batch('batch', jsonb_build_object('selection', resume_batch.selection, 'actor', resume_batch.actor, 'reason', resume_batch.reason));
  return query select * from app.control_runs('resume', app.select_runs('resume', selection), resume_batch.actor, resume_batch.reason, dry_run);
end
$$;
comment on function app.resume_batch(jsonb, text, text, boolean) is
  'Resumes many runs: selection {runIds} or {filter} (see app.v_arguments, selection_filter). One row per run: what resume_run would do or refuse. PT400.';

create or replace function app.repair_batch(selection jsonb, actor text, reason text, dry_run boolean default false)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_batch('batch', jsonb_build_object('selection', repair_batch.selection, 'actor', repair_batch.actor, 'reason', repair_batch.reason));
  return query select * from app.control_runs('repair', app.select_runs('repair', selection), repair_batch.actor, repair_batch.reason, dry_run);
end
$$;
comment on function app.repair_batch(jsonb, text, text, boolean) is
  'Repairs many runs: selection {runIds} or {filter} (see app.v_arguments, selection_filter). One row per run: what repair_run would do or refuse. PT400.';

create or replace function app.fork_batch(selection jsonb, step_n integer, actor text, reason text, app_version text default null, inputs jsonb default null,
  dry_run boolean default false)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_batch('fork_batch', jsonb_build_object('selection', fork_batch.selection, 'step_n', fork_batch.step_n, 'actor', fork_batch.actor,
    'reason', fork_batch.reason, 'app_version', fork_batch.app_version, 'inputs', fork_batch.inputs));
  return query select * from app.fork_runs(app.select_runs('fork', selection), step_n, fork_batch.actor, fork_batch.reason, fork_batch.app_version,
    fork_batch.inputs, dry_run);
end
$$;
comment on function app.fork_batch(jsonb, integer, text, text, text, jsonb, boolean) is
  'Forks many runs at the same step: selection {runIds} or {filter} (see app.v_arguments, selection_filter). One row per run, forked_run_id names its fork: what fork_run would do or refuse. PT400.';

create or replace function app.redrive(queue_name text, actor text, reason text, max_runs integer default 100, dry_run boolean default false)
returns table (run_id text, accepted boolean, status text, code text, message text, forked_run_id text)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('redrive', jsonb_build_object('queue_name', redrive.queue_name, 'actor', redrive.actor, 'reason', redrive.reason, 'max_runs', redrive.max_runs));
  if not exists (select from app.queues as q where q.queue_name = redrive.queue_name) then
    perform app.fail('PT404', 'queue_not_found', format('no queue %s', redrive.queue_name), null, 'select * from app.v_ops_queue_depth');
  end if;
  return query select * from app.control_runs('resume', array(
    select r.run_id from app.runs as r
    where r.status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' and (
      select true from app.run_steps as s
      where s.run_id = r.run_id and s.queue_name = redrive.queue_name and s.lost and s.ended_at = r.ended_at
        and s.error ->> 'code' = 'max_recovery_attempts_exceeded' limit 1)
    order by r.created_at, r.run_id limit max_runs), redrive.actor, redrive.reason, dry_run);
end
$$;
comment on function app.redrive(text, text, text, integer, boolean) is
  'Resumes dead lanes: runs in MAX_RECOVERY_ATTEMPTS_EXCEEDED whose step died on this queue, oldest first, at most max_runs (1-1000). One row per run. PT404 queue_not_found.';
