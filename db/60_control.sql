-- Control: what a person may do to a run, each one audited call.
--
--   app.cancel_run(run_id, actor, reason, dry_run)     ENQUEUED, PENDING, WAITING_INPUT
--   app.resume_run(run_id, actor, reason, dry_run)     CANCELLED, MAX_RECOVERY_ATTEMPTS_EXCEEDED, ENQUEUED (nothing to do)
--   app.repair_run(run_id, actor, reason, dry_run)     ERROR
--   app.fork_run(run_id, step_n, actor, reason, app_version, inputs, dry_run)     any
--
-- Each returns {accepted, workflowID, status, dryRun, …}. Every accepted call appends one OPS artifact with the effect; a refused one, and a
-- dry run, write nothing. Invariant: finished steps are never run again. status is that after the call.

create or replace function app.check_control(run_id text, actor text, reason text, allowed text[], hint text)
returns app.runs
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  run app.runs;
begin
  perform app.check_input('control', jsonb_build_object('run_id', check_control.run_id, 'actor', check_control.actor, 'reason', check_control.reason));
  select r.* into run from app.runs as r where r.run_id = check_control.run_id for no key update;
  if not found then
    perform app.check_run(check_control.run_id);
  end if;
  if run.status <> all (allowed) then
    perform app.fail('PT409', 'illegal_transition', format('run %s is %s', run.run_id, run.status), jsonb_build_object('status', run.status), hint);
  end if;
  return run;
end
$$;
comment on function app.check_control(text, text, text, text[], text) is 'Checks a control call and locks the run. PT400, PT404, PT409 when its status is not one of those allowed.';

create or replace function app.cancel_run(run_id text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  run app.runs;
begin
  run := app.check_control(cancel_run.run_id, cancel_run.actor, cancel_run.reason, array['ENQUEUED', 'PENDING', 'WAITING_INPUT'],
    'the run is over: there is nothing to cancel');
  if not coalesce(cancel_run.dry_run, false) then
    perform app.stop_runs(array[run.run_id], t);
    perform app.audit(run.run_id, 'cancel', cancel_run.actor, cancel_run.reason, t, jsonb_build_object('from', run.status));
    select r.* into run from app.runs as r where r.run_id = run.run_id;
  end if;
  return jsonb_build_object('accepted', true, 'workflowID', run.run_id, 'status', run.status, 'dryRun', coalesce(cancel_run.dry_run, false));
end
$$;
comment on function app.cancel_run(text, text, text, boolean) is
  'Cancels a run: it stops at the next step boundary, open tasks, gates and timers close. Returns {accepted, workflowID, status, dryRun}. PT409 when it is over.';

create or replace function app.resume_run(run_id text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  run app.runs;
begin
  run := app.check_control(resume_run.run_id, resume_run.actor, resume_run.reason, array['CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'ENQUEUED'],
    format('a failed run: select app.repair_run(%L, …) or app.fork_run(%1$L, …)', resume_run.run_id));
  if not coalesce(resume_run.dry_run, false) then
    if run.status <> 'ENQUEUED' then
      perform app.reopen_run(run.run_id, t);
    end if;
    perform app.audit(run.run_id, 'resume', resume_run.actor, resume_run.reason, t, jsonb_build_object('from', run.status));
    select r.* into run from app.runs as r where r.run_id = run.run_id;
  end if;
  return jsonb_build_object('accepted', true, 'workflowID', run.run_id, 'status', run.status, 'dryRun', coalesce(resume_run.dry_run, false));
end
$$;
comment on function app.resume_run(text, text, text, boolean) is
  'Resumes a cancelled or poisoned run at its last checkpoint: same id, same queue, same place in line. Returns {accepted, workflowID, status, dryRun}. PT409 for a run in ERROR (repair or fork it) and for one under way.';

create or replace function app.repair_run(run_id text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  run app.runs;
begin
  run := app.check_control(repair_run.run_id, repair_run.actor, repair_run.reason, array['ERROR'], 'only a failed run is repaired; a cancelled one is resumed');
  if not coalesce(repair_run.dry_run, false) then
    perform app.reopen_run(run.run_id, t);
    perform app.audit(run.run_id, 'repair', repair_run.actor, repair_run.reason, t, jsonb_build_object('error', run.error));
    select r.* into run from app.runs as r where r.run_id = run.run_id;
  end if;
  return jsonb_build_object('accepted', true, 'workflowID', run.run_id, 'status', run.status, 'dryRun', coalesce(repair_run.dry_run, false));
end
$$;
comment on function app.repair_run(text, text, text, boolean) is
  'Repairs a failed run: the failed step gets a new attempt and the retry policy starts anew, finished steps stay; a gate that was answered no, or expired, is asked again. Returns {accepted, workflowID, status, dryRun}.';

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
  t timestamptz := app.now();
  source app.runs;
  root text;
  forked text;
  intent jsonb;
begin
  perform app.check_input('fork_run', jsonb_build_object('run_id', fork_run.run_id, 'step_n', fork_run.step_n, 'actor', fork_run.actor, 'reason', fork_run.reason,
    'app_version', fork_run.app_version, 'inputs', fork_run.inputs));
  select coalesce(r.root_id, r.run_id) into root from app.runs as r where r.run_id = fork_run.run_id;
  if not found then
    perform app.check_run(fork_run.run_id);
  end if;
  perform from app.runs as r where r.run_id in (root, fork_run.run_id) order by r.run_id for no key update;
  select r.* into source from app.runs as r where r.run_id = fork_run.run_id;
  perform app.check_fork(source, fork_run.step_n);
  forked := format('%s-f%s', root, 1 + (select count(*) from app.runs as r where r.root_id = root));

  if not coalesce(fork_run.dry_run, false) then
    intent := jsonb_build_object('intentId', source.intent_id);
    if jsonb_typeof(fork_run.inputs) = 'object' then
      intent := app.create_intent((
        select i.body || jsonb_build_object('inputs', (i.body -> 'inputs') || fork_run.inputs) from app.intents as i where i.intent_id = source.intent_id));
    end if;
    insert into app.runs (run_id, intent_id, recipe_id, queue_name, partition_key, lane, priority, app_version, trace_id, tenant_id, oc_mode, sbx_mode,
      workload, budget, timeout_ms, forked_from, fork_step, root_id, created_at, updated_at, is_chain, started_by)
    values (forked, intent ->> 'intentId', source.recipe_id, source.queue_name, source.partition_key, source.lane, source.priority,
      coalesce(fork_run.app_version, source.app_version), replace(gen_random_uuid()::text, '-', ''), source.tenant_id, source.oc_mode, source.sbx_mode,
      source.workload, source.budget, source.timeout_ms, source.run_id, fork_run.step_n, root, t, t,
      source.is_chain, fork_run.actor);
    perform app.copy_steps(source.run_id, forked, fork_run.step_n);
    if source.timeout_ms is not null then
      insert into app.timers (kind, run_id, fire_at, created_at) values ('run_timeout', forked, t + source.timeout_ms * interval '1 ms', t);
    end if;
    perform app.enter_fork(forked, fork_run.step_n, t);
    perform app.audit(source.run_id, 'fork', fork_run.actor, fork_run.reason, t,
      jsonb_build_object('forkedWorkflowID', forked, 'stepN', fork_run.step_n, 'appVersion', fork_run.app_version, 'inputs', fork_run.inputs));
  end if;
  return jsonb_build_object('accepted', true, 'workflowID', source.run_id, 'forkedWorkflowID', forked, 'stepN', fork_run.step_n,
    'dryRun', coalesce(fork_run.dry_run, false));
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

create or replace function app.check_fork(source app.runs, step_n integer)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  last integer := (select max(c.idx) from app.recipe_steps as c where c.recipe_id = source.recipe_id);
  missing text;
begin
  if step_n > last then
    perform app.fail('PT409', 'fork_out_of_range', format('step %s is beyond the last step %s of run %s', step_n, last, source.run_id),
      jsonb_build_object('status', source.status), format('step_n is between 0 and %s', last));
  end if;
  select c.step_id into missing from app.recipe_steps as c
  where c.recipe_id = source.recipe_id and c.idx < step_n and not exists (
    select from app.run_steps as s where s.run_id = source.run_id and s.idx = c.idx and s.task_key = '' and s.status = 'SUCCESS')
  order by c.idx limit 1;
  if found then
    perform app.fail('PT409', 'fork_needs_finished_steps', format('%s of run %s has not succeeded: it cannot be reused', missing, source.run_id),
      jsonb_build_object('status', source.status), 'fork at that step or before it');
  end if;
end
$$;
comment on function app.check_fork(app.runs, integer) is 'Raises PT409 when a run cannot be forked at this step.';

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
    returning idx, task_key, attempt
  )
  insert into app.artifacts (run_id, step_id, step_idx, task_key, attempt, idx, kind, name, media_type, size, sha256, inline, created_at)
  select target, a.step_id, a.step_idx, a.task_key, a.attempt, a.idx, a.kind, a.name, a.media_type, a.size, a.sha256, a.inline, a.created_at
  from app.artifacts as a join step on step.idx = a.step_idx and step.task_key = a.task_key and step.attempt = a.attempt
  where a.run_id = source order by a.artifact_id;
  with gate as (
    insert into app.gates (run_id, gate_key, idx, kind, title, status, opened_at, answered_at, payload, round, task_key, on_expiry, expiry_answer, shows,
      shown_sha256, quorum, self_approval, from_handler)
    select target, g.gate_key, g.idx, g.kind, g.title, g.status, g.opened_at, g.answered_at, g.payload, g.round, g.task_key, g.on_expiry, g.expiry_answer, g.shows,
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
