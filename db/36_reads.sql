-- Reads: what a caller gets back. JSON in the field names of the contract; the views of chapter 80 are the same truth for psql.
--
--   app.get_run(run_id) · app.get_steps(run_id) · app.list_gates(run_id) · app.list_artifacts(run_id) · app.list_runs(filter)
--   app.get_artifact(artifact_id) → row with the bytes
--
-- Reads never write. PT404 names what is missing.

create or replace function app.epoch_ms(t timestamptz)
returns bigint
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select floor(extract(epoch from t) * 1000)::bigint;
$$;
comment on function app.epoch_ms(timestamptz) is 'Milliseconds since 1970, as JSON carries times.';

create or replace function app.is_alive(worker app.workers)
returns boolean
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select worker.stopped_at is null and worker.last_seen_at > clock_timestamp() - interval '15 seconds';
$$;
comment on function app.is_alive(app.workers) is 'True when the worker has not left and gave a sign of life in the last 15 s (real clock; runners give one every 5 s).';

create or replace function app.runner_command(app_version text, queue_name text)
returns text
language sql
immutable
parallel safe
security definer
set search_path = ''
as $$
  select 'sisu runner --app-version '
    || case when app_version ~ '^[A-Za-z0-9._+/:@-]+$' then app_version else '''' || replace(app_version, '''', '''\''''') || '''' end
    || coalesce(' --queue ' || queue_name, '');
$$;
comment on function app.runner_command(text, text) is 'The command that starts a worker of a version, for a queue or (null) for all, as one pastes it into a shell.';

create or replace function app.is_stale(run app.runs)
returns boolean
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select run.status in ('ENQUEUED', 'PENDING') and (
    not exists (select from app.workers as w where w.app_version = run.app_version and app.is_alive(w))
    or exists (
      select from app.run_steps as s
      where s.run_id = run.run_id and s.status = 'PENDING' and s.msg_id is not null
        and app.lease_ends(s.queue_name, s.msg_id) < clock_timestamp()));
$$;
comment on function app.is_stale(app.runs) is 'True when a claimed step''s lease has expired, or no live worker of the run''s app version exists.';

create or replace function app.next_action(run app.runs)
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select case run.status
    when 'ERROR' then 'REPAIR'
    when 'CANCELLED' then 'RESUME'
    when 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' then 'RESUME'
    when 'WAITING_INPUT' then (
      select case when bool_or(g.gate_key = 'approve-plan') then 'APPROVE_PLAN' else 'REPLY_GATE' end
      from app.gates as g where g.run_id = run.run_id and g.status || '' = 'OPEN') end;
$$;
comment on function app.next_action(app.runs) is 'APPROVE_PLAN, REPLY_GATE, REPAIR, RESUME or null: what a human can do.';

create or replace function app.run_header(run app.runs, recipe text, version integer, updated_at timestamptz, next_action text, last_step text, stale boolean)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object(
    'workflowID', run.run_id, 'status', run.status, 'workflowName', recipe, 'recipe', jsonb_build_object('name', recipe, 'version', version),
    'queueName', run.queue_name, 'queuePartitionKey', nullif(run.partition_key, ''), 'lane', run.lane, 'priority', run.priority,
    'createdAt', floor(extract(epoch from run.created_at) * 1000)::bigint, 'updatedAt', floor(extract(epoch from updated_at) * 1000)::bigint,
    'nextAction', next_action, 'lastStep', last_step, 'error', run.error, 'traceId', run.trace_id, 'traceUrl', null,
    'appVersion', run.app_version, 'ocMode', run.oc_mode, 'sbxMode', run.sbx_mode, 'forkedFrom', run.forked_from, 'stale', stale);
$$;
comment on function app.run_header(app.runs, text, integer, timestamptz, text, text, boolean) is
  'A run header. Times are epoch ms; traceUrl is filled by whoever knows the trace viewer.';

create or replace function app.run_headers(run_ids text[])
returns table (run_id text, header jsonb)
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select r.run_id, app.run_header(r, c.name, c.version, greatest(r.updated_at, s.ended_at, s.started_at), app.next_action(r), s.step_id, app.is_stale(r))
  from app.runs as r
    join app.recipes as c on c.recipe_id = r.recipe_id
    left join lateral (
      select s.step_id, s.started_at, s.ended_at from app.run_steps as s
      where s.run_id = r.run_id and s.task_key = '' and s.status <> 'ENQUEUED'
      order by s.idx desc, s.attempt desc limit 1) as s on true
  where r.run_id = any (run_ids);
$$;
comment on function app.run_headers(text[]) is 'The headers of runs.';

create or replace function app.new_header(run app.runs, recipe app.recipes)
returns jsonb
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  return app.run_header(run, recipe.name, recipe.version, run.updated_at, null, null,
    not exists (select from app.workers as w where w.app_version = run.app_version and app.is_alive(w))) || '{"isReplay": false}';
end
$$;
comment on function app.new_header(app.runs, app.recipes) is 'The header of a run that was just started and stands in line, with isReplay.';

create or replace function app.new_headers(started app.runs[])
returns jsonb
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  run app.runs := started[1];
begin
  if cardinality(started) = 1 then
    return (select jsonb_build_array(app.new_header(run, c)) from app.recipes as c where c.recipe_id = run.recipe_id);
  end if;
  return (
    with kind as materialized (
      -- what is the same in all that were started alike is written once
      select k.*, app.new_header(k.run, c) as header
      from (
          select distinct on (r.recipe_id, r.lane, r.priority, r.app_version, r.oc_mode, r.sbx_mode) r.recipe_id, r.lane, r.priority, r.app_version, r.oc_mode, r.sbx_mode, r as run
          from unnest(started) as r) as k
        join app.recipes as c on c.recipe_id = k.recipe_id
    )
    select jsonb_agg(k.header || jsonb_build_object('workflowID', r.run_id, 'queuePartitionKey', nullif(r.partition_key, ''), 'traceId', r.trace_id) order by r.queue_seq)
    from unnest(started) as r join kind as k using (recipe_id, lane, priority, app_version, oc_mode, sbx_mode));
end
$$;
comment on function app.new_headers(app.runs[]) is 'The headers of runs that were just started and stand in line, in order, each with isReplay.';

create or replace function app.purged_header(run_id text)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select p.header || jsonb_build_object('nextAction', null, 'stale', false, 'purgedAt', app.epoch_ms(p.purged_at)) from app.purged_runs as p where p.run_id = $1;
$$;
comment on function app.purged_header(text) is 'The last header of a purged run, with purgedAt, or null. Nobody can do anything about it any more.';

create or replace function app.purged_refusal(run_id text)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('sqlstate', 'PT404', 'code', 'run_purged', 'message', format('run %s was purged', p.run_id), 'hint', format('select app.get_run(%L) has its last header', p.run_id))
  from app.purged_runs as p where p.run_id = $1;
$$;
comment on function app.purged_refusal(text) is 'What every call but a start and get_run answers for a purged run, as app.control_refusal says it; else null.';

create or replace function app.check_run(run_id text)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.check_input('run', jsonb_build_object('run_id', check_run.run_id));
  if not exists (select from app.runs as r where r.run_id = check_run.run_id) then
    perform app.raise_refusal(app.purged_refusal(check_run.run_id));
    perform app.fail('PT404', 'run_not_found', format('no run %s', check_run.run_id), null, 'select app.list_runs()');
  end if;
end
$$;
comment on function app.check_run(text) is 'Raises PT400 without a run id, PT404 for an unknown one, and for a purged one (run_purged).';

create or replace function app.get_run(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  found_header jsonb;
begin
  select h.header into found_header from app.run_headers(array[get_run.run_id]) as h;
  if not found then
    found_header := app.purged_header(get_run.run_id);
    if found_header is null then
      perform app.check_run(get_run.run_id);
    end if;
  end if;
  return found_header;
end
$$;
comment on function app.get_run(text) is 'The header of a run: status, nextAction, lastStep, error, stale and what it was started with; of a purged run the last one, with purgedAt. PT404.';

create or replace function app.artifact_ref(artifact app.artifacts)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('artifactId', artifact.artifact_id, 'stepID', artifact.step_id, 'taskKey', nullif(artifact.task_key, ''),
    'attempt', artifact.attempt, 'idx', artifact.idx, 'kind', artifact.kind, 'name', artifact.name,
    'mediaType', artifact.media_type, 'size', artifact.size, 'sha256', artifact.sha256);
$$;
comment on function app.artifact_ref(app.artifacts) is 'An artifact without its bytes.';

create or replace function app.get_steps(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  refs jsonb;   -- by place: an artifact is found by its run alone, so those of a run are read once
begin
  perform app.check_run(get_steps.run_id);
  select jsonb_object_agg(concat_ws('/', k.step_idx, k.task_key, k.attempt), k.refs) into refs from (
    select a.step_idx, a.task_key, a.attempt, jsonb_agg(app.artifact_ref(a) order by a.idx) as refs
    from app.artifacts as a where a.run_id = get_steps.run_id and a.step_idx is not null group by 1, 2, 3) as k;
  return (
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('taskKey', nullif(s.task_key, ''))) || jsonb_build_object(
        'stepID', s.step_id, 'idx', s.idx, 'status', s.status, 'attempt', s.attempt, 'startedAt', app.epoch_ms(s.started_at),
        'endedAt', app.epoch_ms(s.ended_at), 'error', s.error, 'cachedFrom', s.cached_from, 'traceId', coalesce(f.trace_id, r.trace_id), 'spanId', s.span_id,
        'artifactRefs', coalesce(refs -> concat_ws('/', s.idx, s.task_key, s.attempt), '[]'))
      order by s.idx, s.task_idx nulls first), '[]')
    from (
      select distinct on (s.idx, s.task_key) s.* from app.run_steps as s
      where s.run_id = get_steps.run_id order by s.idx, s.task_key, s.attempt desc) as s
      join app.runs as r using (run_id)
      left join app.runs as f on f.run_id = s.cached_from);
end
$$;
comment on function app.get_steps(text) is 'The steps of a run and their tasks, latest attempt of each, in order, with artifactRefs. PT404.';

create or replace function app.list_artifacts(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  -- the audit trail of a queue, a schedule or the purges is listed, too
  if coalesce(position('/' in list_artifacts.run_id), 0) = 0
    or not exists (select from app.artifacts as a where a.run_id = list_artifacts.run_id and a.step_id = 'OPS')
  then
    perform app.check_run(list_artifacts.run_id);
  end if;
  return (
    select coalesce(jsonb_agg(app.artifact_ref(a) order by a.step_idx nulls last, a.artifact_id), '[]')
    from app.artifacts as a where a.run_id = list_artifacts.run_id);
end
$$;
comment on function app.list_artifacts(text) is 'All artifacts of a run, without their bytes, in step order; or the audit trail of queue/<name>, schedule/<name> or retention/purge. PT404.';

create or replace function app.get_artifact(artifact_id bigint)
returns setof app.artifact_content
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('get_artifact', jsonb_build_object('artifact_id', get_artifact.artifact_id));
  return query
    select a.artifact_id, a.run_id, a.step_id, a.step_idx, a.task_key, a.attempt, a.idx, a.kind, a.name, a.media_type, a.size, a.sha256,
      coalesce(b.body, convert_to(app.canonical_json(a.inline), 'UTF8'))
    from app.artifacts as a left join app.artifact_blobs as b on a.inline is null and b.sha256 = a.sha256
    where a.artifact_id = get_artifact.artifact_id;
  if not found then
    perform app.fail('PT404', 'artifact_not_found', format('no artifact %s', get_artifact.artifact_id), null, 'select app.list_artifacts(run_id)');
  end if;
end
$$;
comment on function app.get_artifact(bigint) is 'One artifact with its bytes; sha256 is theirs. PT404.';

create or replace function app.list_gates(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_run(list_gates.run_id);
  return (
    select coalesce(jsonb_agg(jsonb_build_object('gateKey', g.gate_key, 'idx', g.idx, 'kind', g.kind, 'title', g.title, 'status', g.status,
        'openedAt', app.epoch_ms(g.opened_at), 'expiresAt', app.epoch_ms(g.expires_at), 'answeredAt', app.epoch_ms(g.answered_at),
        'payload', g.payload, 'round', g.round, 'onExpiry', g.on_expiry, 'shows', to_jsonb(g.shows), 'shownSha256', g.shown_sha256, 'quorum', g.quorum,
        'selfApproval', g.self_approval, 'replies', (
          select coalesce(jsonb_agg(jsonb_build_object('origin', p.origin, 'payload', p.payload, 'dedupeKey', p.dedupe_key, 'repliedAt', app.epoch_ms(p.replied_at),
            'round', p.round, 'shownSha256', p.shown_sha256) order by p.replied_at, p.dedupe_key), '[]')
          from app.gate_replies as p where p.run_id = g.run_id and p.gate_key = g.gate_key)) order by g.idx, g.gate_key), '[]')
    from app.gates as g where g.run_id = list_gates.run_id);
end
$$;
comment on function app.list_gates(text) is 'The gates of a run that opened or were answered ahead of time, with what they show and who replied. PT404.';

create or replace function app.list_runs(filter jsonb default '{}')
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  n integer;
  before timestamptz := timestamptz 'infinity';
  after_id text := '';
  ids text[];
  last_at timestamptz;
begin
  perform app.check_input('list_runs', list_runs.filter, 'filter');
  n := coalesce((list_runs.filter ->> 'limit')::integer, 50);
  if list_runs.filter ->> 'cursor' is not null then
    before := timestamptz 'epoch' + split_part(list_runs.filter ->> 'cursor', '.', 1)::bigint * interval '1 microsecond';
    after_id := substring(list_runs.filter ->> 'cursor' from position('.' in list_runs.filter ->> 'cursor') + 1);
  end if;
  -- one short index scan per status, merged: newest first whatever the filter, and as fast on a million runs
  select array_agg(p.run_id order by p.created_at desc, p.run_id), min(p.created_at) into ids, last_at
  from (
    select p.run_id, p.created_at
    from unnest(array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']) as st (status)
      cross join lateral (
        select r.run_id, r.created_at from app.runs as r
        where r.status = st.status and r.created_at <= before and (r.created_at < before or r.run_id > after_id)
          and (list_runs.filter ->> 'name' is null
            or r.recipe_id in (select c.recipe_id from app.recipes as c where c.name = list_runs.filter ->> 'name'))
        order by r.created_at desc, r.run_id limit n) as p
    where list_runs.filter ->> 'status' is null or st.status = list_runs.filter ->> 'status'
    order by p.created_at desc, p.run_id limit n) as p;
  return jsonb_build_object(
    'runs', (select coalesce(jsonb_agg(h.header order by o.ordinality), '[]')
      from unnest(ids) with ordinality as o (run_id, ordinality) join app.run_headers(ids) as h using (run_id)),
    'nextCursor', case when cardinality(ids) = n
      then format('%s.%s', (extract(epoch from last_at) * 1000000)::bigint, ids[n]) end);
end
$$;
comment on function app.list_runs(jsonb) is 'Run headers, newest first: {runs, nextCursor}. filter: status, name, limit (1-1000, default 50), cursor.';
