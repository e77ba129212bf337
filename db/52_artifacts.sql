-- Artifacts: what steps leave behind, and the audit trail of control actions.
--
--   app.keep_artifacts(accepted, …), app.keep_receipts  with the commit of a step
--   app.audit(target, op, actor, reason, t, more)       one OPS artifact per accepted control action on a run, queue/<name>, schedule/<name> or retention/purge
--
-- A body is stored once per content. Whoever refers to one shares the lock of its group until the commit, and chapter 68 deletes no content of a
-- group that somebody shares. Invariant: sha256 is that of the bytes get_artifact returns; a step that ended well and left nothing has kind none, idx 999.

create or replace function app.share_content(sha256 text)
returns boolean
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  -- one of 256 locks, however many bodies a call brings
  perform pg_advisory_xact_lock_shared(1397314635, ('x' || left(sha256, 2))::bit(8)::integer);
  return true;
end
$$;
comment on function app.share_content(text) is 'This transaction refers to a content: nobody deletes it until the end. Costs no write, and waits for nobody but a purge that is about to commit.';

create or replace function app.has_content_alone(sha256 text)
returns boolean
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  return pg_try_advisory_xact_lock(1397314635, ('x' || left(sha256, 2))::bit(8)::integer);
end
$$;
comment on function app.has_content_alone(text) is 'True when nobody else is about to refer to a content of this group, and then until the end of the transaction. Does not wait.';

create or replace function app.keep_artifacts(accepted app.lane_result[], has_artifacts boolean, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set sisu.runs_held = 'yes'
as $$
begin
  insert into app.artifacts (run_id, step_id, step_idx, task_key, attempt, idx, kind, name, media_type, size, sha256, created_at)
  select a.run_id, a.step_id, a.idx, a.task_key, a.attempt, 999, 'none', 'none', 'text/plain', 4,
    '140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe', t
  from unnest(accepted) as a
  where a.status = 'SUCCESS' and a.tasks is null and coalesce(a.artifacts, '[]') in ('[]', 'null');

  if has_artifacts then
    with given as materialized (
      select a.run_id, a.step_id, a.idx as step_idx, a.task_key, a.attempt, e.ordinality::integer - 1 as idx, e.value, b.body,
        app.sha256_hex(b.body) as sha256
      from unnest(accepted) as a
        cross join lateral jsonb_array_elements(case jsonb_typeof(a.artifacts) when 'array' then a.artifacts end) with ordinality as e
        cross join lateral (
          select case when jsonb_typeof(e.value -> 'body') = 'string' then decode(e.value ->> 'body', 'base64')
            else convert_to(app.canonical_json(e.value -> 'inline'), 'UTF8') end) as b (body)
    ), kept as (
      insert into app.artifact_blobs (sha256, body)
      select distinct on (g.sha256) g.sha256, g.body from given as g where jsonb_typeof(g.value -> 'body') = 'string' and app.share_content(g.sha256) order by g.sha256
      on conflict do nothing
    )
    insert into app.artifacts (run_id, step_id, step_idx, task_key, attempt, idx, kind, name, media_type, size, sha256, inline, created_at)
    select g.run_id, g.step_id, g.step_idx, g.task_key, g.attempt, g.idx, g.value ->> 'kind', g.value ->> 'name',
      coalesce(g.value ->> 'mediaType', case when jsonb_typeof(g.value -> 'body') = 'string' then 'application/octet-stream' else 'application/json' end),
      length(g.body), g.sha256, case when jsonb_typeof(g.value -> 'body') is distinct from 'string' then g.value -> 'inline' end, t
    from given as g order by g.run_id, g.step_idx, g.task_key, g.idx;
  end if;
end
$$;
comment on function app.keep_artifacts(app.lane_result[], boolean, timestamptz) is 'Writes the artifacts of accepted results, of failed attempts too; bodies once per content.';

create or replace function app.keep_receipts(accepted app.lane_result[], t timestamptz)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  insert into app.mock_receipts as m (run_id, task_key, first_seen, last_seen)
  select a.run_id, a.task_key, t, t from unnest(accepted) as a where a.receipt and a.status = 'SUCCESS' and a.task_key <> ''
  on conflict on constraint mock_receipts_pkey do update set seen_count = m.seen_count + 1, last_seen = excluded.last_seen;
$$;
comment on function app.keep_receipts(app.lane_result[], timestamptz) is 'Counts the task results that the mock sandbox vouches for; a second one for the same task breaks a law.';

create or replace function app.audit(target text, op text, actor text, reason text, t timestamptz, more jsonb default '{}')
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  insert into app.artifacts (run_id, step_id, idx, kind, name, media_type, size, sha256, inline, created_at)
  -- 999 is the place of an empty step's
  select audit.target, 'OPS', (
      select (count(*) + (count(*) >= 999)::integer)::integer from app.artifacts as a where a.run_id = audit.target and a.step_id = 'OPS' and a.step_idx is null),
    'json_diagnostic', op || '.json', 'application/json', length(b.body), app.sha256_hex(b.body), d.inline, t
  from (
      select jsonb_build_object('op', op, 'actor', actor, 'reason', reason, 'at', app.epoch_ms(t))
        || case when position('/' in audit.target) > 0 then jsonb_build_object('target', audit.target, 'targetWorkflowID', null)
          else jsonb_build_object('targetWorkflowID', audit.target) end || more) as d (inline)
    cross join lateral (select convert_to(app.canonical_json(d.inline), 'UTF8')) as b (body);
$$;
comment on function app.audit(text, text, text, text, timestamptz, jsonb) is
  'Appends the artifact of one accepted control action: step_id OPS, kind json_diagnostic, inline {op, actor, reason, targetWorkflowID, at, …}. Of a target that is no run (queue/<name>), targetWorkflowID is null and target names it.';
