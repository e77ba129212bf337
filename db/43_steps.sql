-- Steps: how one begins.
--
-- A step waits for the steps it needs, is skipped when its condition is not met, stands behind its gates, and then goes in line for a worker,
-- or is executed by the engine itself: a sleep is a parked attempt with a timer, a map makes its tasks from data.
--
--   app.enter_steps(run_ids, idxs, t)   conditions and gates first
--   app.start_steps(run_ids, idxs, t)   past the gates
--   app.graph_frontier(run_ids)         what may begin in a graph of steps
--
-- Both return the steps that were over at once, for app.advance to go on from. Invariant: a step begins once all it needs have succeeded
-- (or were skipped), and not before. The caller holds the runs' locks.

create or replace function app.run_outputs(run_id text, recipe_id bigint)
returns jsonb
language plpgsql
stable
parallel safe
security invoker
set search_path = ''
as $$
begin
  -- step by step: before Postgres 18 a scan of all attempts of the run would walk over its tasks
  return (
    select coalesce(jsonb_object_agg(s.step_id, s.output), '{}')
    from app.recipe_steps as c
      cross join lateral (select s.* from app.run_steps as s where s.run_id = run_outputs.run_id and s.idx = c.idx and s.task_key = '' offset 0) as s
    where c.recipe_id = run_outputs.recipe_id and s.status = 'SUCCESS');
end
$$;
comment on function app.run_outputs(text, bigint) is '{stepId: output} of the steps of a run that have succeeded.';

create or replace function app.run_context(run_id text)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('intent', i.body, 'outputs', app.run_outputs(r.run_id, r.recipe_id),
    'gates', (select coalesce(jsonb_object_agg(g.gate_key, g.payload), '{}') from app.gates as g where g.run_id = r.run_id and g.status = 'ANSWERED'))
  from app.runs as r join app.intents as i on i.intent_id = r.intent_id where r.run_id = run_context.run_id;
$$;
comment on function app.run_context(text) is '{intent, outputs, gates} of a run: what conditions and maps look at.';

create or replace function app.find_in_context(run_id text, path text)
returns table (items jsonb, fault text)
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  items := jsonb_path_query_array(app.run_context(run_id), path::jsonpath, '{}', true);
  perform app.canonical_json(items); -- tasks are named by it
  return next;
exception when others then
  -- a path that cannot be evaluated fails its step, and nobody else's: it runs within the calls of all runners
  if app.is_passing(sqlstate) then raise; end if;
  return query select null::jsonb, sqlerrm;
end
$$;
comment on function app.find_in_context(text, text) is
  'What a jsonpath finds in the run''s context, as an array; what is not there is not found. Or the fault: what Postgres cannot evaluate, and items without a canonical text.';

create or replace function app.graph_frontier(run_ids text[])
returns table (run_id text, idx integer)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  with step as materialized (
    select r.run_id, c.idx, c.needs,
      exists (select from app.run_steps as s where s.run_id = r.run_id and s.idx = c.idx and s.task_key = '' and s.status = 'SUCCESS') as is_done,
      exists (select from app.run_steps as s where s.run_id = r.run_id and s.idx = c.idx and s.task_key = '')
        or exists (select from app.gates as g where g.run_id = r.run_id and g.idx = c.idx and not g.from_handler and g.opened_at is not null) as is_entered
    from app.runs as r join app.recipe_steps as c on c.recipe_id = r.recipe_id
    where r.run_id = any (run_ids) and r.ended_at is null
  )
  select s.run_id, s.idx
  from (select s.*, array_agg(s.idx) filter (where s.is_done) over (partition by s.run_id) as done from step as s) as s
  where not s.is_entered and s.needs <@ coalesce(s.done, '{}')
  union all
  select s.run_id, null from step as s group by s.run_id having bool_and(s.is_done)
  order by 1, 2;
$$;
comment on function app.graph_frontier(text[]) is 'Steps that may begin now, and idx null for a run all of whose steps are done.';

create or replace function app.as_result(step app.run_steps, run app.runs, artifacts jsonb, tasks jsonb)
returns app.lane_result
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select row(step.run_id, step.idx, step.task_key, step.attempt, step.step_id, null, null, null, step.status, step.output, artifacts, tasks, false,
    step.error, step.span_id, run.status, run.recipe_id, run.is_chain, step.app_version, step.partition_key, step.priority)::app.lane_result;
$$;
comment on function app.as_result(app.run_steps, app.runs, jsonb, jsonb) is 'An attempt that no worker reported, in the form in which results travel.';

create or replace function app.enter_steps(run_ids text[], idxs integer[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  broken integer[];
  errors jsonb[];
  skipped integer[];
  gated integer[];
  free integer[];
  over app.lane_result[];
begin
  select array_agg(e.n order by e.n) filter (where f.fault is not null),
    array_agg(jsonb_build_object('code', 'bad_condition', 'message', format('%s: its condition cannot be evaluated: %s', c.step_id, f.fault), 'retryable', false)
      order by e.n) filter (where f.fault is not null),
    array_agg(e.n) filter (where f.items <> '[true]'), array_agg(e.n) filter (where c.is_gated and k.is_met), array_agg(e.n) filter (where not c.is_gated and k.is_met)
  into broken, errors, skipped, gated, free
  from unnest(run_ids, idxs) with ordinality as e (run_id, idx, n)
    join app.runs as r on r.run_id = e.run_id join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = e.idx
    left join lateral (select l.* from app.find_in_context(e.run_id, c.condition) as l where c.condition is not null offset 0) as f on true -- called for conditions alone
    cross join lateral (select c.condition is null or coalesce(f.items = '[true]', false)) as k (is_met);
  over := case when broken is not null then
      app.fail_steps(array(select run_ids[n] from unnest(broken) as n), array(select idxs[n] from unnest(broken) as n), errors, t) end
    || case when skipped is not null then
      app.skip_steps(array(select run_ids[n] from unnest(skipped) as n), array(select idxs[n] from unnest(skipped) as n), t) end
    || case when free is not null then
      app.start_steps(array(select run_ids[n] from unnest(free) as n), array(select idxs[n] from unnest(free) as n), t) end;
  -- last: a gate that was answered ahead of time moves its run on at once, and must see what has begun
  if gated is not null then
    perform app.open_gates(array(select run_ids[n] from unnest(gated) as n), array(select idxs[n] from unnest(gated) as n), t);
  end if;
  return over;
end
$$;
comment on function app.enter_steps(text[], integer[], timestamptz) is 'Steps whose turn has come: skipped, behind their gates, or begun. Returns those that are over at once.';

create or replace function app.enqueue_first_steps(started app.runs[], t timestamptz)
returns text[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set sisu.runs_held = 'yes'
as $$
declare
  others text[];
  woken text[];
begin
  with first as materialized (
    select r as run, c.step_id, c.queue_name, coalesce(r.is_chain and c.handler is not null and not c.is_gated and c.condition is null, false) as is_plain
    from unnest(started) as r left join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = 0
  ), step as (
    insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, enqueued_at)
    select (f.run).run_id, 0, 1, f.step_id, 'ENQUEUED', f.queue_name, (f.run).app_version, (f.run).partition_key, (f.run).priority, (f.run).queue_seq, t
    from first as f where f.is_plain
  )
  select array_agg((f.run).run_id) filter (where not f.is_plain), array_agg(distinct f.queue_name) filter (where f.is_plain) into others, woken from first as f;
  if woken is not null then
    perform app.wake_runners(woken);
  end if;
  return others;
end
$$;
comment on function app.enqueue_first_steps(app.runs[], timestamptz) is
  'The usual start: puts the first step of new runs in line. Returns the runs that begin otherwise: behind a gate, with a condition, asleep, fanned out, or as a graph.';

create or replace function app.enter_first_steps(run_ids text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  chains text[] := array(select r.run_id from app.runs as r where r.run_id = any (run_ids) and r.is_chain order by r.queue_seq);
  roots text[] := chains;
  idxs integer[] := array_fill(0, array[cardinality(chains)]);
  over app.lane_result[];
begin
  if cardinality(chains) < cardinality(run_ids) then
    select roots || array_agg(g.run_id), idxs || array_agg(g.idx) into roots, idxs from app.graph_frontier(run_ids) as g where g.run_id <> all (chains);
  end if;
  over := app.enter_steps(roots, idxs, t);
  if over is not null then
    perform app.advance(over, false, null, t);
  end if;
end
$$;
comment on function app.enter_first_steps(text[], timestamptz) is 'New runs begin: with their first step, or with all that need no other.';

create or replace function app.start_steps(run_ids text[], idxs integer[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  handled integer[];
  sleeping integer[];
  mapped integer[];
begin
  select array_agg(e.n) filter (where c.handler is not null), array_agg(e.n) filter (where c.handler is null and c.fan_over is null),
    array_agg(e.n) filter (where c.handler is null and c.fan_over is not null)
  into handled, sleeping, mapped
  from unnest(run_ids, idxs) with ordinality as e (run_id, idx, n)
    join app.runs as r on r.run_id = e.run_id join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = e.idx;
  if handled is not null then
    perform app.enqueue_steps(array(select run_ids[n] from unnest(handled) as n), array(select idxs[n] from unnest(handled) as n), t);
  end if;
  return case when sleeping is not null then
      app.begin_sleeps(array(select run_ids[n] from unnest(sleeping) as n), array(select idxs[n] from unnest(sleeping) as n), t) end
    || case when mapped is not null then
      app.begin_maps(array(select run_ids[n] from unnest(mapped) as n), array(select idxs[n] from unnest(mapped) as n), t) end;
end
$$;
comment on function app.start_steps(text[], integer[], timestamptz) is 'Steps past their gates: in line, asleep, or fanned out. Returns those that are over at once.';

create or replace function app.begin_engine_steps(run_ids text[], idxs integer[], t timestamptz, skip boolean)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.begin_work(run_ids, t);
  insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority, enqueued_at, started_at, ended_at, parked_at, skipped)
  select r.run_id, c.idx, 1 + coalesce((select max(p.attempt) from app.run_steps as p where p.run_id = r.run_id and p.idx = c.idx and p.task_key = ''), 0),
    c.step_id, case when skip then 'SUCCESS' else 'PENDING' end, c.queue_name, r.app_version, r.partition_key, r.priority, t, t,
    case when skip then t end, case when not skip then t end, skip
  from unnest(run_ids, idxs) as e (run_id, idx) join app.runs as r on r.run_id = e.run_id join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = e.idx;
end
$$;
comment on function app.begin_engine_steps(text[], integer[], timestamptz, boolean) is 'Attempts that need no worker: parked, or over at once because they are skipped.';

create or replace function app.newest_attempts(run_ids text[], idxs integer[])
returns setof app.run_steps
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select s.* from unnest(run_ids, idxs) as e (run_id, idx)
    cross join lateral (select a.* from app.run_steps as a where a.run_id = e.run_id and a.idx = e.idx and a.task_key = '' order by a.attempt desc limit 1) as s;
$$;
comment on function app.newest_attempts(text[], integer[]) is 'The newest attempt of each of these steps.';

create or replace function app.skip_steps(run_ids text[], idxs integer[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  over app.lane_result[];
begin
  perform app.begin_engine_steps(run_ids, idxs, t, true);
  over := array(select app.as_result(s, r, null, null) from app.newest_attempts(run_ids, idxs) as s join app.runs as r using (run_id));
  perform app.keep_artifacts(over, false, t);
  return over;
end
$$;
comment on function app.skip_steps(text[], integer[], timestamptz) is 'Steps whose condition is not met: SUCCESS without having run.';

create or replace function app.fail_steps(run_ids text[], idxs integer[], errors jsonb[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.begin_engine_steps(run_ids, idxs, t, false);
  update app.run_steps as s set status = 'ERROR', ended_at = t, parked_at = null, error = e.error
  from unnest(run_ids, idxs, errors) as e (run_id, idx, error)
  where s.run_id = e.run_id and s.idx = e.idx and s.task_key = '' and s.status = 'PENDING' and s.parked_at is not null;
  return array(select app.as_result(s, r, null, null) from app.newest_attempts(run_ids, idxs) as s join app.runs as r using (run_id));
end
$$;
comment on function app.fail_steps(text[], integer[], jsonb[], timestamptz) is 'Steps that cannot begin: ERROR without having run.';

create or replace function app.begin_sleeps(run_ids text[], idxs integer[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  due text[];
  due_idxs integer[];
  failed app.lane_result[];
begin
  perform app.begin_engine_steps(run_ids, idxs, t, false);
  with sleep as (
    select s, r, (s).run_id, (s).idx,
      -- a sleep that was cancelled and resumed ends when it would have ended
      (select min(a.started_at) from app.run_steps as a where a.run_id = (s).run_id and a.idx = (s).idx and a.task_key = '') as since,
      case when c.sleep_ms is not null then c.sleep_ms
        when jsonb_typeof(i.body #> array['inputs', c.sleep_input]) = 'number' and (i.body #>> array['inputs', c.sleep_input])::numeric between 0 and 31536000000
          then round((i.body #>> array['inputs', c.sleep_input])::numeric)::bigint end as ms
    from app.newest_attempts(run_ids, idxs) as s join app.runs as r using (run_id) join app.intents as i using (intent_id)
      join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = s.idx
  ), timer as (
    insert into app.timers (kind, run_id, idx, fire_at, created_at)
    select 'sleep', k.run_id, k.idx, k.since + k.ms * interval '1 ms', t from sleep as k where k.since + k.ms * interval '1 ms' > t
  ), broken as (
    update app.run_steps as a set status = 'ERROR', ended_at = t, parked_at = null, error = jsonb_build_object('code', 'bad_sleep', 'retryable', false,
      'message', format('%s: the inputs of the intent do not say how many ms to sleep (0 to 31536000000)', a.step_id))
    from sleep as k where a.run_id = k.run_id and a.idx = k.idx and a.task_key = '' and a.attempt = (k.s).attempt and k.ms is null
    returning app.as_result(a, k.r, null, null) as result
  )
  select array_agg(k.run_id) filter (where k.since + k.ms * interval '1 ms' <= t), array_agg(k.idx) filter (where k.since + k.ms * interval '1 ms' <= t),
    (select array_agg(broken.result) from broken)
  into due, due_idxs, failed from sleep as k;
  return failed || case when due is not null then app.end_sleeps(due, due_idxs, t) end;
end
$$;
comment on function app.begin_sleeps(text[], integer[], timestamptz) is 'Durable sleeps: parked attempts with a timer. Returns those that are over at once.';

create or replace function app.end_sleeps(run_ids text[], idxs integer[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
declare
  over app.lane_result[];
begin
  with ended as (
    update app.run_steps as s set status = 'SUCCESS', ended_at = t, parked_at = null, output = jsonb_build_object('wokeAt', app.epoch_ms(t))
    from unnest(run_ids, idxs) as e (run_id, idx)
      cross join lateral (
        select p.ctid from app.run_steps as p where p.run_id = e.run_id and p.idx = e.idx and p.task_key = '' and p.status = 'PENDING' and p.parked_at is not null limit 1) as o
    where s.ctid = o.ctid
    returning s as step
  )
  select array_agg(app.as_result(e.step, r, jsonb_build_array(jsonb_build_object('kind', 'json_diagnostic', 'name', 'sleep.json', 'inline',
    jsonb_build_object('startedAt', app.epoch_ms((e.step).started_at), 'wokeAt', app.epoch_ms(t)))), null))
  into over from ended as e join app.runs as r on r.run_id = (e.step).run_id;
  perform app.keep_artifacts(over, true, t);
  return over;
end
$$;
comment on function app.end_sleeps(text[], integer[], timestamptz) is 'Sleeps whose time has come, each with an artifact that says from when to when.';

create or replace function app.begin_maps(run_ids text[], idxs integer[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  maps app.lane_result[];
  empty app.lane_result[];
begin
  perform app.begin_engine_steps(run_ids, idxs, t, false);
  maps := app.judge_tasks(array(
    select app.as_result(case when f.fault is null then s else jsonb_populate_record(s, jsonb_build_object('status', 'ERROR', 'error',
      jsonb_build_object('code', 'bad_map', 'message', format('%s: its items cannot be found: %s', s.step_id, f.fault), 'retryable', false))) end, r, null, f.items)
    from app.newest_attempts(run_ids, idxs) as s join app.runs as r using (run_id) join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = s.idx
      cross join lateral app.find_in_context(s.run_id, c.fan_over) as f), t);
  update app.run_steps as s set status = 'SUCCESS', ended_at = t, parked_at = null, output = '{"output": null, "tasks": []}'
  from unnest(maps) as m
  where s.run_id = m.run_id and s.idx = m.idx and s.task_key = '' and s.attempt = m.attempt and m.tasks = '[]' and m.status <> 'ERROR';
  empty := array(select app.as_result(s, r, null, null) from unnest(maps) as m
    join app.run_steps as s on s.run_id = m.run_id and s.idx = m.idx and s.task_key = '' and s.attempt = m.attempt join app.runs as r on r.run_id = s.run_id
    where m.tasks = '[]' and m.status <> 'ERROR');
  perform app.keep_artifacts(empty, false, t);
  return nullif(array(select m from unnest(maps) as m where m.status = 'ERROR') || empty
    || app.fan_out(array(select m from unnest(maps) as m where m.status <> 'ERROR' and m.tasks <> '[]'), t), '{}');
end
$$;
comment on function app.begin_maps(text[], integer[], timestamptz) is 'Maps: one task for each item that the jsonpath finds. Returns those that are over at once.';
