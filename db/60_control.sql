-- Control: what a person may do to a run, each one audited call.
--
--   app.cancel_run(run_id, actor, reason, dry_run)     ENQUEUED, PENDING, WAITING_INPUT
--   app.resume_run(run_id, actor, reason, dry_run)     CANCELLED, MAX_RECOVERY_ATTEMPTS_EXCEEDED, ENQUEUED (nothing to do)
--   app.repair_run(run_id, actor, reason, dry_run)     ERROR
--   app.fork_run(run_id, step_n, actor, reason, app_version, inputs, dry_run)     any
--
-- Each returns {accepted, workflowID, status, dryRun, …}. Every accepted call appends one OPS artifact with the effect; a refused one, and a
-- dry run, write nothing. What is allowed is said once, in app.control_refusal: a call on one run raises it, a call on many (chapter 64)
-- reports it. Invariant: finished steps are never run again. status is that after the call. Lock order: runs (by run_id), then as in 42.

create or replace function app.allowed_statuses(op text)
returns text[]
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case op
    when 'cancel' then array['ENQUEUED', 'PENDING', 'WAITING_INPUT']
    when 'resume' then array['CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'ENQUEUED']
    when 'repair' then array['ERROR']
    else array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'] end;
$$;
comment on function app.allowed_statuses(text) is 'The statuses in which a run can be cancelled, resumed, repaired or forked.';

create or replace function app.fork_refusal(source app.runs, step_n integer)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('sqlstate', 'PT409', 'code', f.code, 'message', f.message, 'details', jsonb_build_object('status', source.status), 'hint', f.hint)
  from (
    select 0 as place, 'fork_out_of_range' as code, format('step %s is beyond the last step %s of run %s', step_n, max(c.idx), source.run_id) as message,
      format('step_n is between 0 and %s', max(c.idx)) as hint
    from app.recipe_steps as c where c.recipe_id = source.recipe_id having step_n > max(c.idx)
    union all
    select 1 + c.idx, 'fork_needs_finished_steps', format('%s of run %s has not succeeded: it cannot be reused', c.step_id, source.run_id),
      'fork at that step or before it'
    from app.recipe_steps as c
    where c.recipe_id = source.recipe_id and c.idx < step_n and not exists (
      select from app.run_steps as s where s.run_id = source.run_id and s.idx = c.idx and s.task_key = '' and s.status = 'SUCCESS')
    order by 1 limit 1) as f;
$$;
comment on function app.fork_refusal(app.runs, integer) is 'Why a run cannot be forked at this step, as app.control_refusal says it; else null.';

create or replace function app.control_refusal(op text, run_id text, run app.runs, step_n integer default null)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select case
    when run.run_id is null then
      coalesce(app.purged_refusal(control_refusal.run_id), jsonb_build_object('sqlstate', 'PT404', 'code', 'run_not_found', 'message', format('no run %s', control_refusal.run_id), 'hint', 'select app.list_runs()'))
    when run.status <> all (app.allowed_statuses(op)) then
      jsonb_build_object('sqlstate', 'PT409', 'code', 'illegal_transition', 'message', format('run %s is %s', run.run_id, run.status),
        'details', jsonb_build_object('status', run.status), 'hint', case op
          when 'cancel' then 'the run is over: there is nothing to cancel'
          when 'resume' then format('a failed run: select app.repair_run(%L, …) or app.fork_run(%1$L, …)', run.run_id)
          else 'only a failed run is repaired; a cancelled one is resumed' end)
    when op = 'fork' then app.fork_refusal(run, step_n) end;
$$;
comment on function app.control_refusal(text, text, app.runs, integer) is
  'Whether cancel, resume, repair or fork is allowed on this run (null for one that does not exist): null, or the refusal {sqlstate, code, message, details, hint}.';

create or replace function app.raise_refusal(refusal jsonb)
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  if refusal is not null then
    perform app.fail(refusal ->> 'sqlstate', refusal ->> 'code', refusal ->> 'message', refusal -> 'details', refusal ->> 'hint');
  end if;
end
$$;
comment on function app.raise_refusal(jsonb) is 'Raises a refusal; null is none.';

create or replace function app.apply_control(op text, run app.runs, actor text, reason text, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if op = 'cancel' then
    perform app.stop_runs(array[run.run_id], t);
  elsif run.status <> 'ENQUEUED' then
    perform app.reopen_run(run.run_id, t);
  end if;
  perform app.audit(run.run_id, op, actor, reason, t,
    case op when 'repair' then jsonb_build_object('error', run.error) else jsonb_build_object('from', run.status) end);
end
$$;
comment on function app.apply_control(text, app.runs, text, text, timestamptz) is 'Cancels, resumes or repairs a run that allows it, and says so in its OPS artifact. The caller holds the run''s lock.';

create or replace function app.control_run(op text, run_id text, actor text, reason text, dry_run boolean)
returns jsonb
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  is_dry boolean := coalesce(control_run.dry_run, false);
  run app.runs;
begin
  perform app.check_input('control', jsonb_build_object('run_id', control_run.run_id, 'actor', control_run.actor, 'reason', control_run.reason));
  select r.* into run from app.runs as r where r.run_id = control_run.run_id for no key update;
  perform app.raise_refusal(app.control_refusal(op, control_run.run_id, run));
  if not is_dry then
    perform app.apply_control(op, run, control_run.actor, control_run.reason, app.now());
  end if;
  return jsonb_build_object('accepted', true, 'workflowID', run.run_id,
    'status', (select r.status from app.runs as r where r.run_id = run.run_id), 'dryRun', is_dry);
end
$$;
comment on function app.control_run(text, text, text, text, boolean) is 'What cancel_run, resume_run and repair_run have in common.';

create or replace function app.cancel_run(run_id text, actor text, reason text, dry_run boolean default false)
returns jsonb
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.control_run('cancel', run_id, actor, reason, dry_run);
$$;
comment on function app.cancel_run(text, text, text, boolean) is
  'Cancels a run: it stops at the next step boundary, open tasks, gates and timers close. Returns {accepted, workflowID, status, dryRun}. PT409 when it is over.';

create or replace function app.resume_run(run_id text, actor text, reason text, dry_run boolean default false)
returns jsonb
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.control_run('resume', run_id, actor, reason, dry_run);
$$;
comment on function app.resume_run(text, text, text, boolean) is
  'Resumes a cancelled or poisoned run at its last checkpoint: same id, same queue, same place in line. Returns {accepted, workflowID, status, dryRun}. PT409 for a run in ERROR (repair or fork it) and for one under way.';

create or replace function app.repair_run(run_id text, actor text, reason text, dry_run boolean default false)
returns jsonb
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.control_run('repair', run_id, actor, reason, dry_run);
$$;
comment on function app.repair_run(text, text, text, boolean) is
  'Repairs a failed run: the failed step gets a new attempt and the retry policy starts anew, finished steps stay; a gate that was answered no, or expired, is asked again. Returns {accepted, workflowID, status, dryRun}.';

create or replace function app.lock_sources(run_ids text[])
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform from app.runs as r
  where r.run_id = any (run_ids || array(select k.root_id from app.runs as k where k.run_id = any (run_ids) and k.root_id is not null))
  order by r.run_id for no key update;
end
$$;
comment on function app.lock_sources(text[]) is 'Locks runs and the roots that count their forks, by run_id.';

create or replace function app.fork_id(source app.runs, promised bigint default 0)
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select format('%s-f%s', k.root, 1 + promised + (select count(*) from app.runs as r where r.root_id = k.root)
    + (select count(*) from app.purged_runs as p where p.root_id = k.root)) from (select coalesce(source.root_id, source.run_id)) as k (root);
$$;
comment on function app.fork_id(app.runs, bigint) is 'The id of the next fork: <root>-f<N>. promised: so many are to come before it.';

create or replace function app.make_fork(source app.runs, forked text, step_n integer, actor text, reason text, app_version text, inputs jsonb, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  intent jsonb := jsonb_build_object('intentId', source.intent_id);
begin
  if jsonb_typeof(inputs) = 'object' then
    intent := app.create_intent((
      select i.body || jsonb_build_object('inputs', (i.body -> 'inputs') || make_fork.inputs) from app.intents as i where i.intent_id = source.intent_id));
  end if;
  insert into app.runs (run_id, intent_id, recipe_id, queue_name, partition_key, lane, priority, app_version, trace_id, tenant_id, oc_mode, sbx_mode,
    workload, budget, timeout_ms, forked_from, fork_step, root_id, created_at, updated_at, is_chain, started_by)
  values (forked, intent ->> 'intentId', source.recipe_id, source.queue_name, source.partition_key, source.lane, source.priority,
    coalesce(make_fork.app_version, source.app_version), replace(gen_random_uuid()::text, '-', ''), source.tenant_id, source.oc_mode, source.sbx_mode,
    source.workload, source.budget, source.timeout_ms, source.run_id, make_fork.step_n, coalesce(source.root_id, source.run_id), t, t,
    source.is_chain, make_fork.actor)
  -- whoever counts under the lock of the root finds none; an older snapshot, which missed a fork, fails here with 40001
  on conflict do nothing;
  perform app.copy_steps(source.run_id, forked, make_fork.step_n);
  if source.timeout_ms is not null then
    insert into app.timers (kind, run_id, fire_at, created_at) values ('run_timeout', forked, t + source.timeout_ms * interval '1 ms', t);
  end if;
  perform app.enter_fork(forked, make_fork.step_n, t);
  perform app.audit(source.run_id, 'fork', make_fork.actor, make_fork.reason, t,
    jsonb_build_object('forkedWorkflowID', forked, 'stepN', make_fork.step_n, 'appVersion', make_fork.app_version, 'inputs', make_fork.inputs));
end
$$;
comment on function app.make_fork(app.runs, text, integer, text, text, text, jsonb, timestamptz) is 'Makes a fork that is allowed, and says so in an OPS artifact of its source. The caller holds the locks of app.lock_sources.';

create or replace function app.fork_run(run_id text, step_n integer, actor text, reason text, app_version text default null, inputs jsonb default null,
  dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  is_dry boolean := coalesce(fork_run.dry_run, false);
  source app.runs;
  forked text;
begin
  perform app.check_input('fork_run', jsonb_build_object('run_id', fork_run.run_id, 'step_n', fork_run.step_n, 'actor', fork_run.actor, 'reason', fork_run.reason,
    'app_version', fork_run.app_version, 'inputs', fork_run.inputs));
  perform app.lock_sources(array[fork_run.run_id]);
  select r.* into source from app.runs as r where r.run_id = fork_run.run_id;
  perform app.raise_refusal(app.control_refusal('fork', fork_run.run_id, source, fork_run.step_n));
  forked := app.fork_id(source);
  if not is_dry then
    perform app.make_fork(source, forked, fork_run.step_n, fork_run.actor, fork_run.reason, fork_run.app_version, fork_run.inputs, app.now());
  end if;
  return jsonb_build_object('accepted', true, 'workflowID', source.run_id, 'forkedWorkflowID', forked, 'stepN', fork_run.step_n, 'dryRun', is_dry);
end
$$;
comment on function app.fork_run(text, integer, text, text, text, jsonb, boolean) is
  'Forks a run at a step: a new run <root>-f<N> with its own rows; steps before step_n and the gates up to it are reused, step_n and later ones run. Optional app_version and inputs patch. The source is not touched. Returns {accepted, workflowID, forkedWorkflowID, stepN, dryRun}. PT409 when step_n is beyond the recipe or a step before it has not succeeded.';

create or replace function app.enter_fork(run_id text, step_n integer, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  idxs integer[] := array[step_n];
begin
  if not (select r.is_chain from app.runs as r where r.run_id = enter_fork.run_id) then
    select array_agg(g.idx) into idxs from app.graph_frontier(array[run_id]) as g;
  end if;
  perform app.advance(app.enter_steps(array_fill(run_id, array[cardinality(idxs)]), idxs, t), false, null, t);
end
$$;
comment on function app.enter_fork(text, integer, timestamptz) is 'A fork goes on where its reused steps end.';

create or replace function app.copy_steps(source text, target text, step_n integer)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  with step as (
    insert into app.run_steps (run_id, idx, task_key, attempt, step_id, status, queue_name, app_version, partition_key, priority, worker, task_idx, tasks_open,
      input, output, cached_from, span_id, enqueued_at, started_at, ended_at, skipped)
    select target, s.idx, s.task_key, s.attempt, s.step_id, s.status, s.queue_name, s.app_version, s.partition_key, s.priority, s.worker, s.task_idx,
      s.tasks_open, s.input, s.output, coalesce(s.cached_from, source), s.span_id, s.enqueued_at, s.started_at, s.ended_at, s.skipped
    from app.run_steps as s
    where s.run_id = source and s.idx < step_n and s.status = 'SUCCESS'
  )
  insert into app.artifacts (run_id, step_id, step_idx, task_key, attempt, idx, kind, name, media_type, size, sha256, inline, created_at)
  select target, a.step_id, a.step_idx, a.task_key, a.attempt, a.idx, a.kind, a.name, a.media_type, a.size, a.sha256, a.inline, a.created_at
  from app.artifacts as a
  where a.run_id = source and a.step_idx < step_n and (
    -- a probe for each: a join would compare every artifact with every task
    select s.status from app.run_steps as s where s.run_id = source and s.idx = a.step_idx and s.task_key = a.task_key and s.attempt = a.attempt) = 'SUCCESS'
  order by a.artifact_id;
  with gate as (
    insert into app.gates (run_id, gate_key, idx, kind, title, status, opened_at, answered_at, payload, round, task_key, on_expiry, expiry_answer, shows,
      shown_sha256, quorum, self_approval, from_handler)
    select target, g.gate_key, g.idx, g.kind, g.title, g.status,
      -- before a step that the fork has yet to enter it was answered ahead of time
      case when exists (select from app.run_steps as s where s.run_id = target and s.idx = g.idx and s.task_key = '') then g.opened_at end,
      g.answered_at, g.payload, g.round, g.task_key, g.on_expiry, g.expiry_answer, g.shows,
      g.shown_sha256, g.quorum, g.self_approval, g.from_handler
    from app.gates as g
    where g.run_id = source and g.status = 'ANSWERED' and (g.kind = 'input' or g.from_handler or g.payload ->> 'decision' is distinct from 'no')
      and (g.idx < step_n or (g.idx = step_n and not g.from_handler))
    returning gate_key
  )
  insert into app.gate_replies (run_id, gate_key, dedupe_key, payload, origin, replied_at, shown_sha256, round)
  select target, p.gate_key, p.dedupe_key, p.payload, p.origin, p.replied_at, p.shown_sha256, p.round
  from app.gate_replies as p join gate using (gate_key) where p.run_id = source;
end
$$;
comment on function app.copy_steps(text, text, integer) is 'Finished steps before step_n, their tasks and artifacts, and the gates passed up to it, as rows of the fork: cached_from names where they ran.';
