-- Transitions: the only writers of a run's status, and how a run moves on.
--
--   app.advance(finished, …)            after a step: the next ones, or the end
--   app.enqueue_steps, enqueue_attempts  puts steps in line
--   app.fail_runs · app.stop_runs · app.reopen_run · app.wait_for_gates · app.wake_run · app.close_runs
--
-- The caller holds the runs' locks; chapter 28 holds everybody to app.run_transitions. Invariant: a terminal run has nothing open that could
-- start.

create or replace function app.advance(finished app.lane_result[], work_lanes boolean, worker text, t timestamptz)
returns app.assignment[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  over app.lane_result[] := finished;
  done text[];
  next_runs text[];
  next_idxs integer[];
  broken text[];
  reasons jsonb[];
  graphs text[];
  begun app.assignment[];
  kept app.assignment[];
begin
  -- steps that the engine executes itself may be over at once: then round again
  while cardinality(over) > 0 loop
    select o.* into begun, done, next_runs, next_idxs, broken, reasons, graphs from app.keep_lanes(over, work_lanes, worker, t) as o;
    kept := kept || begun;
    if broken is not null then
      perform app.fail_runs(broken, reasons, t);
    end if;
    if graphs is not null then
      select next_runs || array_agg(g.run_id) filter (where g.idx is not null), next_idxs || array_agg(g.idx) filter (where g.idx is not null),
        done || array_agg(g.run_id) filter (where g.idx is null)
      into next_runs, next_idxs, done
      from app.graph_frontier(array(select distinct g.run_id from unnest(graphs) as g (run_id))) as g where broken is null or g.run_id <> all (broken);
    end if;
    if done is not null then
      update app.runs as r set status = 'SUCCESS', ended_at = t, updated_at = t where r.run_id = any (done);
      update app.timers as m set closed_at = t where m.run_id = any (done) and coalesce(m.fired_at, m.closed_at) is null;
      perform app.note_ends(done);
    end if;
    over := case when next_runs is not null then app.enter_steps(next_runs, next_idxs, t) end;
  end loop;
  return kept;
end
$$;
comment on function app.advance(app.lane_result[], boolean, text, timestamptz) is
  'Moves runs on after steps that are over: the next steps in the same lane, in line or behind a gate, the end, or the failure. Returns the lanes that stay with the worker.';

create or replace function app.keep_lanes(over app.lane_result[], work_lanes boolean, worker text, t timestamptz,
  out begun app.assignment[], out done text[], out next_runs text[], out next_idxs integer[], out broken text[], out reasons jsonb[], out graphs text[])
returns record
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
set sisu.runs_held = 'yes'
as $$
begin
  with onward as materialized (
    select f.run_id, n.idx, n.step_id, f.queue_name, f.msg_id, f.read_ct, n.handler, n.timeout_ms, f.app_version, f.partition_key, f.priority,
      f.step_id as last_step, f.attempt, f.error, case f.status when 'SUCCESS' then case when not f.is_chain then 'graph' when n.idx is null then 'done'
        when work_lanes and f.msg_id is not null and n.queue_name = f.queue_name and not n.is_gated and n.handler is not null then 'stays' else 'next' end
        when 'ERROR' then 'broken' end as way
    from unnest(over) as f left join app.recipe_steps as n on f.is_chain and n.recipe_id = f.recipe_id and n.idx = f.idx + 1
    where f.run_status in ('PENDING', 'WAITING_INPUT') and f.task_key = ''
  ), step as (
    insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority,
      worker, msg_id, read_ct, enqueued_at, started_at)
    select n.run_id, n.idx, 1, n.step_id, 'PENDING', n.queue_name, n.app_version, n.partition_key, n.priority, keep_lanes.worker, n.msg_id, n.read_ct, t, t
    from onward as n where n.way = 'stays'
  )
  select array_agg(row('continued', o.run_id, o.step_id, o.idx, '', 1, o.queue_name, o.msg_id, o.read_ct, o.handler, o.timeout_ms, null, null)::app.assignment) filter (where o.way = 'stays'),
    array_agg(o.run_id) filter (where o.way = 'done'), array_agg(o.run_id) filter (where o.way = 'next'), array_agg(o.idx) filter (where o.way = 'next'),
    array_agg(o.run_id) filter (where o.way = 'broken'),
    array_agg(o.error || jsonb_build_object('stepID', o.last_step, 'attempt', o.attempt)) filter (where o.way = 'broken'), array_agg(o.run_id) filter (where o.way = 'graph')
  into begun, done, next_runs, next_idxs, broken, reasons, graphs
  from onward as o;
end
$$;
comment on function app.keep_lanes(app.lane_result[], boolean, text, timestamptz) is
  'Which way runs go after steps that are over, and the next steps of chains begun with the worker that finished the ones before (work_lanes).';

create or replace function app.wake_runners(queues text[])
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  select pg_notify('sisu_ready', q) from unnest(queues) as q;
$$;
comment on function app.wake_runners(text[]) is 'NOTIFY sisu_ready with each queue''s name: a hint only, polling alone is correct.';

create or replace function app.enqueue_steps(run_ids text[], idxs integer[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  woken text[];
begin
  with step as (
    insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, enqueued_at)
    select r.run_id, c.idx, 1 + coalesce((select max(p.attempt) from app.run_steps as p where p.run_id = r.run_id and p.idx = c.idx and p.task_key = ''), 0),
      c.step_id, 'ENQUEUED', c.queue_name, r.app_version, r.partition_key, r.priority, r.queue_seq, t
    from unnest(run_ids, idxs) as e (run_id, idx)
      join app.runs as r on r.run_id = e.run_id join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = e.idx
    returning queue_name
  )
  select array_agg(distinct step.queue_name) into woken from step;
  perform app.wake_runners(woken);
end
$$;
comment on function app.enqueue_steps(text[], integer[], timestamptz) is 'Puts one step per run in line and wakes the runners.';

create or replace function app.enqueue_attempts(run_ids text[], idxs integer[], task_keys text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  woken text[];
begin
  with step as (
    insert into app.run_steps (run_id, idx, task_key, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, task_idx, input, enqueued_at)
    select r.run_id, p.idx, p.task_key, p.attempt + 1, p.step_id, 'ENQUEUED', p.queue_name, r.app_version, r.partition_key, r.priority, r.queue_seq,
      p.task_idx, case when p.task_key <> '' then p.input end, t
    from unnest(run_ids, idxs, task_keys) as e (run_id, idx, task_key)
      join app.runs as r on r.run_id = e.run_id
      cross join lateral (
        select s.* from app.run_steps as s where s.run_id = e.run_id and s.idx = e.idx and s.task_key = e.task_key
        order by s.attempt desc limit 1) as p
    returning queue_name
  )
  select array_agg(distinct step.queue_name) into woken from step;
  perform app.wake_runners(woken);
end
$$;
comment on function app.enqueue_attempts(text[], integer[], text[], timestamptz) is 'Puts a new attempt of steps or tasks in line, at the old place of their run.';

create or replace function app.backoff_ms(initial_ms bigint, factor double precision, max_ms bigint, used bigint)
returns bigint
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select (case
    when initial_ms = 0 or max_ms = 0 then 0
    when ln(initial_ms) + (used - 1) * ln(factor) >= ln(max_ms) then max_ms
    else initial_ms * factor ^ (used - 1) end)::bigint;
$$;
comment on function app.backoff_ms(bigint, double precision, bigint, bigint) is 'Wait in ms before the next attempt when so many were used: initial, then factor times longer each, never more than max.';

create or replace function app.retry_or_give_up(failed app.lane_result[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  final app.lane_result[];
  at_once app.lane_result[];
begin
  if coalesce(cardinality(failed), 0) = 0 then
    return null;
  end if;
  with spent as materialized (
    -- once for each run with a budget, not for each of its tasks
    select r.run_id, (select count(*) from app.run_steps as s where s.run_id = r.run_id and not s.lost)
      + (select count(*) from app.timers as m where m.run_id = r.run_id and m.kind = 'retry' and coalesce(m.fired_at, m.closed_at) is null) as n
    from app.runs as r where r.run_id = any (array(select f.run_id from unnest(failed) as f)) and r.budget is not null
  ), policy as (
    select f as f, f.task_key = '' as is_step, c.*, r.budget,
      (select count(*) from app.run_steps as s where s.run_id = f.run_id and s.idx = f.idx and s.task_key = f.task_key
         and s.status = 'ERROR' and not s.lost and s.ended_at >= coalesce(r.reopened_at, '-infinity')
         and not coalesce(s.error ->> 'code' = 'cancelled' and s.enqueued_at < r.reopened_at, false)) as used,
      -- the cancel before the last resume reached its handler: no failure, the step begins anew
      f.error ->> 'code' = 'cancelled' and exists (
        select from app.run_steps as s where s.run_id = f.run_id and s.idx = f.idx and s.task_key = f.task_key and s.attempt = f.attempt
          and s.enqueued_at < r.reopened_at) as told_to_stop,
      coalesce((select k.n from spent as k where k.run_id = f.run_id), 0) as used_by_run
    from unnest(failed) as f join app.recipe_steps as c on c.recipe_id = f.recipe_id and c.idx = f.idx join app.runs as r on r.run_id = f.run_id
  ), wish as (
    select p.*,
      (p.told_to_stop or coalesce((((p.f).error) ->> 'retryable')::boolean,
        (p.f).error ->> 'code' = any (case when p.is_step then p.retryable_codes else p.fan_retryable_codes end))
        and p.used < case when p.is_step then p.max_attempts else p.fan_max_attempts end)
      and (p.f).run_status in ('PENDING', 'WAITING_INPUT') and (p.is_step or app.is_wanted((p.f).run_id, (p.f).idx, (p.f).task_key)) as may_again
    from policy as p
  ), verdict as (
    -- only those that are tried again use up the budget, in the order in which they were handed out
    select p.f as l, p.may_again and p.used_by_run + row_number() over (partition by (p.f).run_id, p.may_again order by (p.f).msg_id)
        <= coalesce((p.budget ->> 'attempts')::integer, 2147483647) as again,
      case when p.told_to_stop then 0 when p.is_step
        then app.backoff_ms(p.backoff_initial_ms, p.backoff_factor, p.backoff_max_ms, p.used) * (1 - p.backoff_jitter * random())
        else app.backoff_ms(p.fan_backoff_initial_ms, p.fan_backoff_factor, p.fan_backoff_max_ms, p.used) * (1 - p.fan_backoff_jitter * random()) end as delay_ms
    from wish as p
  ), timer as (
    insert into app.timers (kind, run_id, idx, task_key, fire_at, created_at)
    select 'retry', (v.l).run_id, (v.l).idx, (v.l).task_key, t + v.delay_ms * interval '1 ms', t from verdict as v where v.again and v.delay_ms > 0
  )
  select array_agg(v.l) filter (where not v.again), array_agg(v.l) filter (where v.again and v.delay_ms <= 0) into final, at_once from verdict as v;
  if at_once is not null then
    perform app.enqueue_attempts(
      array(select a.run_id from unnest(at_once) as a), array(select a.idx from unnest(at_once) as a), array(select a.task_key from unnest(at_once) as a), t);
  end if;
  return final;
end
$$;
comment on function app.retry_or_give_up(app.lane_result[], timestamptz) is
  'Failed attempts that the recipe and the budget let try again get a timer or a new attempt; the others are returned. Attempts that lost their worker, or stopped for a cancel that was taken back, do not count.';

create or replace function app.fail_runs(run_ids text[], reasons jsonb[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.runs as r set status = 'ERROR', error = e.reason, ended_at = t, updated_at = t
  from unnest(run_ids, reasons) as e (run_id, reason) where r.run_id = e.run_id;
  perform app.close_runs(run_ids, t);
  perform app.note_ends(run_ids);
end
$$;
comment on function app.fail_runs(text[], jsonb[], timestamptz) is 'Runs end in ERROR, each with its reason {code, message, stepID?, …}.';

create or replace function app.close_runs(run_ids text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.run_steps as s set status = 'CANCELLED', queue_seq = null, parked_at = null, ended_at = t, tasks_open = case when s.tasks_open is not null then 0 end
  where s.run_id = any (run_ids) and s.status in ('ENQUEUED', 'PENDING') and s.msg_id is null;
  update app.gates as g set status = 'CLOSED', closed_at = t where g.run_id = any (run_ids) and g.status || '' = 'OPEN';
  update app.timers as m set closed_at = t where m.run_id = any (run_ids) and coalesce(m.fired_at, m.closed_at) is null;
end
$$;
comment on function app.close_runs(text[], timestamptz) is 'What could still start in runs that ended is closed; a step in flight may commit.';

create or replace function app.stop_runs(run_ids text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.runs as r set status = 'CANCELLED', ended_at = t, updated_at = t where r.run_id = any (run_ids);
  perform app.close_runs(run_ids, t);
  perform app.note_ends(run_ids);
end
$$;
comment on function app.stop_runs(text[], timestamptz) is 'Runs stop at the next step boundary: a step in flight may commit, the next never starts.';

create or replace function app.reopen_run(run_id text, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  run app.runs;
  again integer[];
  past_gates integer[];
  fresh integer[];
  in_flight boolean;
begin
  update app.runs as r set status = 'ENQUEUED', error = null, ended_at = null, updated_at = t, reopened_at = t
  where r.run_id = reopen_run.run_id returning r.* into run;
  if run.timeout_ms is not null then
    insert into app.timers (kind, run_id, fire_at, created_at) values ('run_timeout', run.run_id, t + run.timeout_ms * interval '1 ms', t);
  end if;
  with step as (
    select c.idx, c.needs, c.handler, last.status from app.recipe_steps as c left join lateral (
      -- what failed at its condition has not begun: it comes to it again, and to its gates
      select case when s.worker is not null or s.error ->> 'code' is distinct from 'bad_condition' then s.status end as status
      from app.run_steps as s where s.run_id = run.run_id and s.idx = c.idx and s.task_key = '' order by s.attempt desc limit 1) as last on true
    where c.recipe_id = run.recipe_id
  )
  select array_agg(s.idx) filter (where s.status in ('ERROR', 'CANCELLED') and s.handler is not null),
    array_agg(s.idx) filter (where s.status in ('ERROR', 'CANCELLED') and s.handler is null), array_agg(s.idx) filter (where s.status is null), bool_or(s.status is not distinct from 'PENDING')
  into again, past_gates, fresh, in_flight
  from step as s
  where s.status is distinct from 'SUCCESS'
    and not exists (select from unnest(s.needs) as n (idx) join step as p on p.idx = n.idx where p.status is distinct from 'SUCCESS');

  if in_flight is null or in_flight then
    -- a step in flight goes on with its lease; a run whose last step committed after the cancel is over
    update app.runs as r set status = 'PENDING', started_at = coalesce(r.started_at, t) where r.run_id = run.run_id;
  end if;
  if in_flight is null then
    update app.runs as r set status = 'SUCCESS', ended_at = t where r.run_id = run.run_id;
    perform app.close_runs(array[run.run_id], t);
    perform app.note_ends(array[run.run_id]);
    return;
  end if;
  if again is not null then
    perform app.enqueue_attempts(array_fill(run.run_id, array[cardinality(again)]), again, array_fill(''::text, array[cardinality(again)]), t);
  end if;
  perform app.advance(
    case when past_gates is not null then app.start_steps(array_fill(run.run_id, array[cardinality(past_gates)]), past_gates, t) end
    || case when fresh is not null then app.enter_steps(array_fill(run.run_id, array[cardinality(fresh)]), fresh, t) end, false, null, t);
end
$$;
comment on function app.reopen_run(text, timestamptz) is 'A terminal run goes on at its last checkpoint: unfinished steps get a new attempt, finished ones stay.';

create or replace function app.begin_work(run_ids text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.runs as r set status = 'PENDING', started_at = coalesce(r.started_at, t), updated_at = t
  where r.run_id = any (run_ids) and r.status || '' = 'ENQUEUED';
end
$$;
comment on function app.begin_work(text[], timestamptz) is 'Runs begin without a worker: at a gate, with a sleep, a map or a skipped step.';

create or replace function app.wait_for_gates(run_ids text[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.begin_work(run_ids, t);
  update app.runs as r set status = 'WAITING_INPUT', updated_at = t where r.run_id = any (run_ids) and r.status || '' = 'PENDING';
end
$$;
comment on function app.wait_for_gates(text[], timestamptz) is 'Runs wait for a human; they hold no slot.';

create or replace function app.wake_run(run_id text, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.runs as r set status = 'PENDING', updated_at = t
  where r.run_id = wake_run.run_id and r.status || '' = 'WAITING_INPUT'
    and not exists (select from app.gates as g where g.run_id = wake_run.run_id and g.status || '' = 'OPEN');
end
$$;
comment on function app.wake_run(text, timestamptz) is 'A run whose last open gate was answered goes on.';
