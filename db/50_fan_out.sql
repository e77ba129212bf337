-- Fan-out: a step whose handler returns tasks stays PENDING without a lease until the last task is final.
--
--   app.fan_out(lanes, t) → parents that have nothing left to wait for
--   app.join_tasks(finals, t) → parents whose last task this was
--
-- A task is an attempt row of its own, with its own queue, handler and retries. Its key is sha256(canonical {runId, stepId, task}), so the
-- same task twice is one task, and a task that succeeded is not run again when its step is.
-- With join firstFailure the first task that fails for good ends its step.
-- Invariant: tasks_open of the parent is the number of its tasks that are not final. The caller holds the run's lock.

create or replace function app.task_key(run_id text, step_id text, task jsonb)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  -- canonical as it stands: the keys are in order, and what they name is
  select app.sha256_hex(format('{"runId":%s,"stepId":%s,"task":%s}', to_jsonb(run_id), to_jsonb(step_id), app.canonical_json_at(task, 2)));
$$;
comment on function app.task_key(text, text, jsonb) is 'Identity of a fan-out task.';

create or replace function app.is_wanted(run_id text, idx integer, task_key text)
returns boolean
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select exists (
    select from app.run_steps as p
    where p.run_id = $1 and p.idx = $2 and p.task_key = '' and p.status = 'PENDING' and p.tasks_open > 0
      and (p.input is null or p.input -> 'taskKeys' ? $3));
$$;
comment on function app.is_wanted(text, integer, text) is 'True when a step waits for this task; one that only an earlier attempt of the step made is not tried again.';

create or replace function app.fan_out(lanes app.lane_result[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
declare
  idle app.lane_result[];
  woken text[];
begin
  if cardinality(lanes) = 0 then
    return null;
  end if;
  with task as (
    select distinct on (l.run_id, l.idx, k.task_key) l.run_id, l.idx, l.step_id, k.task_key, e.ordinality::integer - 1 as task_idx, e.value, c.fan_queue,
      p.attempt, p.status, p.task_idx as stands_at
    from unnest(lanes) as l
      join app.recipe_steps as c on c.recipe_id = l.recipe_id and c.idx = l.idx
      cross join lateral jsonb_array_elements(l.tasks) with ordinality as e
      cross join lateral app.task_key(l.run_id, l.step_id, e.value) as k (task_key)
      left join lateral (
        select s.attempt, s.status, s.task_idx from app.run_steps as s where s.run_id = l.run_id and s.idx = l.idx and s.task_key = k.task_key
        order by s.attempt desc limit 1) as p on true
    where l.run_status in ('PENDING', 'WAITING_INPUT')
    order by l.run_id, l.idx, k.task_key, e.ordinality
  ), new as (
    insert into app.run_steps (run_id, idx, task_key, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, task_idx, input, enqueued_at)
    select k.run_id, k.idx, k.task_key, coalesce(k.attempt, 0) + 1, k.step_id, 'ENQUEUED', k.fan_queue, r.app_version, r.partition_key, r.priority, r.queue_seq,
      k.task_idx, k.value, t
    from task as k join app.runs as r on r.run_id = k.run_id
    where k.status is null or k.status in ('ERROR', 'CANCELLED')
    returning queue_name
  ), fan as (
    select k.run_id, k.idx, count(*) filter (where k.status is distinct from 'SUCCESS')::integer as open, jsonb_agg(k.task_key order by k.task_idx) as keys,
      bool_or(k.status = 'SUCCESS' and k.stands_at <> k.task_idx) as is_moved
    from task as k group by 1, 2
  ), parent as (
    -- its tasks by name, in order, where an earlier attempt of the step made others, which do not count, or had them in another order; a run
    -- that ended meanwhile keeps none
    update app.run_steps as s set
      status = case when l.run_status in ('PENDING', 'WAITING_INPUT') then s.status else 'CANCELLED' end,
      ended_at = case when l.run_status not in ('PENDING', 'WAITING_INPUT') then t end,
      tasks_open = case when l.run_status not in ('PENDING', 'WAITING_INPUT') then 0 when f.open > 0 then f.open else s.tasks_open end,
      parked_at = case when f.open > 0 then null else s.parked_at end,
      input = case when f.is_moved or exists (
        select o.task_key from app.run_steps as o where o.run_id = l.run_id and o.idx = l.idx and o.task_key <> ''
        except select k.key collate "C" from jsonb_array_elements_text(f.keys) as k (key))
        then jsonb_build_object('taskKeys', coalesce(f.keys, '[]')) end
    from unnest(lanes) as l left join fan as f on f.run_id = l.run_id and f.idx = l.idx
      -- here and below: a probe for each, as in app.accept_results
      cross join lateral (
        select p.ctid from app.run_steps as p where p.run_id = l.run_id and p.idx = l.idx and p.task_key = '' and p.attempt = l.attempt limit 1) as place
    where s.ctid = place.ctid
  )
  select array_agg(l) filter (where l.run_status in ('PENDING', 'WAITING_INPUT') and f.open = 0), (select array_agg(distinct new.queue_name) from new)
  into idle, woken from unnest(lanes) as l left join fan as f on f.run_id = l.run_id and f.idx = l.idx;
  perform app.wake_runners(woken);
  return app.end_parents(idle, t);
end
$$;
comment on function app.fan_out(app.lane_result[], timestamptz) is 'Puts the tasks of steps in line. Returns the steps all of whose tasks had succeeded before: those are over too. A step whose run ended meanwhile is CANCELLED.';

create or replace function app.join_tasks(finals app.lane_result[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
declare
  complete app.lane_result[];
  broken text[];
  broken_idxs integer[];
begin
  if cardinality(finals) = 0 then
    return null;
  end if;
  with parent as (
    select s.ctid as place, s.run_id, s.idx, s.attempt, s.step_id, s.output, s.tasks_open, count(*)::integer as n, min(f.run_status) as run_status, min(f.recipe_id) as recipe_id,
      bool_and(f.is_chain) as is_chain, bool_or(c.fan_join = 'firstFailure' and f.status = 'ERROR') as is_broken
    from unnest(finals) as f
      cross join lateral (
        select p.ctid, p.run_id, p.idx, p.attempt, p.step_id, p.output, p.tasks_open from app.run_steps as p
        where p.run_id = f.run_id and p.idx = f.idx and p.task_key = '' and p.status = 'PENDING' and p.tasks_open > 0
          and (p.input is null or p.input -> 'taskKeys' ? f.task_key) limit 1) as s
      join app.recipe_steps as c on c.recipe_id = f.recipe_id and c.idx = f.idx
    group by s.ctid, s.run_id, s.idx, s.attempt, s.step_id, s.output, s.tasks_open
  ), counted as (
    update app.run_steps as s set tasks_open = p.tasks_open - p.n from parent as p
    where p.tasks_open > p.n and not p.is_broken and s.ctid = p.place
  )
  select array_agg(row(p.run_id, p.idx, '', p.attempt, p.step_id, null, null, null, 'SUCCESS', p.output, null, null, false, null, null,
    p.run_status, p.recipe_id, p.is_chain, null, null, null)::app.lane_result), array_agg(p.run_id) filter (where p.is_broken and p.tasks_open > p.n),
    array_agg(p.idx) filter (where p.is_broken and p.tasks_open > p.n)
  into complete, broken, broken_idxs from parent as p where p.tasks_open <= p.n or p.is_broken;
  if broken is not null then
    perform app.drop_tasks(broken, broken_idxs, t);
  end if;
  return app.end_parents(complete, t);
end
$$;
comment on function app.join_tasks(app.lane_result[], timestamptz) is 'Counts final tasks off their steps and returns the steps whose last task this was, with their outcome.';

create or replace function app.drop_tasks(run_ids text[], idxs integer[], t timestamptz)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  update app.run_steps as s set status = 'CANCELLED', queue_seq = null, parked_at = null, ended_at = t
  from unnest(run_ids, idxs) as e (run_id, idx)
  where s.run_id = e.run_id and s.idx = e.idx and s.task_key <> '' and s.status in ('ENQUEUED', 'PENDING') and s.msg_id is null;
  update app.timers as m set closed_at = t
  from unnest(run_ids, idxs) as e (run_id, idx)
  where m.run_id = e.run_id and m.idx = e.idx and m.task_key <> '' and coalesce(m.fired_at, m.closed_at) is null;
  update app.gates as g set status = 'CLOSED', closed_at = t
  from unnest(run_ids, idxs) as e (run_id, idx) where g.run_id = e.run_id and g.idx = e.idx and g.task_key <> '' and g.status || '' = 'OPEN';
$$;
comment on function app.drop_tasks(text[], integer[], timestamptz) is 'Tasks that nobody waits for any more: those that have no worker are CANCELLED, the others are told by their heartbeat and may commit.';

create or replace function app.end_parents(parents app.lane_result[], t timestamptz)
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
  if parents is null then
    return null;
  end if;
  with outcome as (
    select own.ctid as place, p.output, p.run_status, p.recipe_id, p.is_chain, x.*
    from unnest(parents) as p
      cross join lateral (
        select o.ctid, o.input from app.run_steps as o where o.run_id = p.run_id and o.idx = p.idx and o.task_key = '' and o.attempt = p.attempt limit 1) as own
      cross join lateral (
        select count(*) as n, count(*) filter (where k.status = 'ERROR') as failed, count(*) filter (where k.status = 'SUCCESS') as good,
          (array_agg(k.error order by k.place, k.task_idx) filter (where k.status = 'ERROR'))[1] as error, coalesce(bool_or(k.is_too_large), false) as is_too_large,
          jsonb_agg(jsonb_build_object('taskKey', k.task_key, 'status', k.status, 'output', k.output, 'error', k.error) order by k.place, k.task_idx)
            filter (where k.is_too_large is not true) as tasks
        from (
          select t.*, o.place, sum(octet_length(t.output::text)) over () > 67108864 as is_too_large
          from (
              select distinct on (s.task_key) s.task_key, s.task_idx, s.status, s.output, s.error from app.run_steps as s
              where s.run_id = p.run_id and s.idx = p.idx and s.task_key <> ''
              order by s.task_key, s.attempt desc) as t
            left join jsonb_array_elements_text(own.input -> 'taskKeys') with ordinality as o (task_key, place) on o.task_key = t.task_key
          -- joined, not asked for by ?, which goes through all names for each
          where own.input is null or o.place is not null) as k) as x
  ), ended as (
    update app.run_steps as s set status = case when o.good = o.n and not o.is_too_large then 'SUCCESS' else 'ERROR' end, tasks_open = 0, parked_at = null, ended_at = t,
      output = jsonb_build_object('output', o.output, 'tasks', o.tasks),
      error = case when o.is_too_large then jsonb_build_object('code', 'output_too_large',
          'message', 'the outputs of its tasks are more than 64 MiB: put what is large into artifacts', 'retryable', false)
        when o.good < o.n then jsonb_build_object('code', coalesce(o.error ->> 'code', 'task_failed'),
        'message', format('%s of %s tasks failed: %s', o.failed, o.n, coalesce(o.error ->> 'message', 'cancelled')), 'retryable', false) end
    from outcome as o
    where s.ctid = o.place and s.status = 'PENDING'
    returning s.*, o.run_status, o.recipe_id, o.is_chain
  )
  select array_agg(row(e.run_id, e.idx, '', e.attempt, e.step_id, null, null, null, e.status, e.output, null, null, false, e.error, null,
    e.run_status, e.recipe_id, e.is_chain, null, null, null)::app.lane_result)
  into over from ended as e;
  return over;
end
$$;
comment on function app.end_parents(app.lane_result[], timestamptz) is 'Ends steps whose tasks are all final: SUCCESS when every task succeeded, else ERROR with the first failure, and when their outputs together are more than 64 MiB. The output is {output, tasks}.';
