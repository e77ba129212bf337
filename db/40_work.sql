-- Work: the hot path. One call commits what a runner has finished and claims what it does next.
--
--   app.work(worker, results jsonb, want jsonb) → setof app.assignment
--   app.work_rows(worker, results app.result[], want jsonb)           the same for results as rows: what sisu runner calls
--
--   results  chapter 38
--   want     {queues: {name: how many}, appVersion, recover, drain}     recover: also take over expired leases, fire what is due;
--                                                                       drain: give no next step of a lane, it goes back in line
--   rows     assigned: a new lane with its context · continued: the next step of a lane the worker keeps · refused: fenced off (stale_lease),
--           or committed before, and the answer was lost (already_committed)
--
-- Everything is set-based: the cost of a call is that of a handful of statements, whatever the number of results.
-- Invariant: the result of a step, its artifacts, its receipt, the end or the next step of its lane and the lease commit together, and
-- only for the holder of the current lease. A result without one is refused alone; the rest of its batch commits.
-- Lock order everywhere: runs (by run_id) → run_steps → gates → timers → pgmq (by queue, by id). Whoever starts elsewhere (a claim, a timer,
-- an expired lease) takes runs with SKIP LOCKED, and so never waits in the wrong order.

create or replace function app.accept_results(worker text, given app.result[])
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  accepted app.lane_result[];
  has_tasks boolean;
  held text[];
  statuses text[];
  recipes bigint[];
  chains boolean[];
  t timestamptz;
begin
  select array_agg(r.run_id), array_agg(r.status), array_agg(r.recipe_id), array_agg(r.is_chain) into held, statuses, recipes, chains
  from (
    select r.run_id, r.status, r.recipe_id, r.is_chain from app.runs as r
    where r.run_id = any (array(select g.run_id from unnest(given) as g))
    order by r.run_id for no key update) as r;
  t := app.now();   -- behind the locks: while it waited a run may have been resumed, and nothing ends before that

  with known as materialized (
    select g.run_id, g.idx, g.task_key, g.attempt, g.queue_name, g.msg_id, g.read_ct, g.status, g.artifacts, g.span_id, coalesce(g.receipt, false) as receipt,
      case g.status when 'WAITING' then g.wait else g.output end as output, case when g.status = 'ERROR' then g.error end as error,
      m.tasks, g.status = 'WAITING' or m.tasks is not null as stays, r.status as run_status, r.recipe_id, r.is_chain
    from unnest(given) as g join unnest(held, statuses, recipes, chains) as r (run_id, status, recipe_id, is_chain) on r.run_id = g.run_id
      cross join lateral (select case when g.status = 'SUCCESS' and g.tasks not in ('[]', 'null') then g.tasks end as tasks) as m
  ), ended as (
    -- a result that came twice in one call is one: an update takes a row once. A step that made tasks, sleeps or asks stays PENDING without a lease
    update app.run_steps as s set
      status = case when g.stays then 'PENDING' else g.status end, ended_at = case when not g.stays then t end,
      tasks_open = jsonb_array_length(g.tasks), msg_id = case when not g.stays then s.msg_id end, parked_at = case when g.status = 'WAITING' then t end,
      output = case when g.status <> 'WAITING' then g.output end, error = g.error, span_id = g.span_id
    from known as g
      -- a probe for each, whatever the planner knew of the table when it planned this; the run is locked, so the row stays where it is
      cross join lateral (
        select p.ctid from app.run_steps as p where p.run_id = g.run_id and p.idx = g.idx and p.task_key = g.task_key and p.attempt = g.attempt limit 1) as place
    where s.ctid = place.ctid and s.status = 'PENDING' and s.worker = accept_results.worker and coalesce(s.tasks_open, 0) = 0
      and s.queue_name = g.queue_name and s.msg_id = g.msg_id and s.read_ct = g.read_ct
    returning row(s.run_id, s.idx, s.task_key, s.attempt, s.step_id, s.queue_name, g.msg_id, s.read_ct, g.status, g.output, g.artifacts, g.tasks,
      g.receipt, g.error, g.span_id, g.run_status, g.recipe_id, g.is_chain, s.app_version, s.partition_key, s.priority)::app.lane_result as result
  )
  select array_agg(e.result), bool_or((e.result).tasks is not null) into accepted, has_tasks from ended as e;
  if has_tasks then
    accepted := app.judge_tasks(accepted, t);
  end if;
  return accepted;
end
$$;
comment on function app.accept_results(text, app.result[]) is
  'Locks the runs and ends the attempts whose worker still holds the lease; returns those, each with what the commit needs to know.';

create or replace function app.judge_tasks(accepted app.lane_result[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  judged app.lane_result[];
begin
  select array_agg(row(a.run_id, a.idx, a.task_key, a.attempt, a.step_id, a.queue_name, a.msg_id, a.read_ct,
      case when p.code is null then a.status else 'ERROR' end, a.output, a.artifacts, case when p.code is null then a.tasks end, a.receipt,
      case when p.code is null then a.error else jsonb_build_object('code', p.code, 'message', p.message, 'retryable', false) end,
      a.span_id, a.run_status, a.recipe_id, a.is_chain, a.app_version, a.partition_key, a.priority)::app.lane_result order by a.ordinality)
  into judged
  from (
      -- with those that other steps of the run bring in this very call, up to here: none of them is in the table yet
      select k.*, sum(jsonb_array_length(k.tasks)) filter (where k.task_key = '') over brought as brought,
        array_agg(k.idx) filter (where k.task_key = '' and k.tasks is not null) over brought as idxs
      from unnest(accepted) with ordinality as k window brought as (partition by k.run_id order by k.ordinality)) as a
    join app.runs as r on r.run_id = a.run_id
    join app.recipe_steps as c on c.recipe_id = a.recipe_id and c.idx = a.idx
    cross join lateral (
      select a.brought - jsonb_array_length(a.tasks) + count(distinct (s.idx, s.task_key)) filter (where s.task_key <> '' and s.idx <> all (a.idxs)) as tasks,
        a.brought - jsonb_array_length(a.tasks) + count(*) filter (where not s.lost) as attempts
      from app.run_steps as s where r.budget is not null and s.run_id = a.run_id) as u
    left join lateral (
      select v.code, v.message from (values
        (c.fan_queue is null or a.task_key <> '', 'tasks_not_expected', 'the handler returned tasks, but the recipe has no fanOut here'),
        (jsonb_array_length(a.tasks) > c.fan_max_tasks,
          'too_many_tasks', format('the handler returned %s tasks, the recipe allows %s', jsonb_array_length(a.tasks), c.fan_max_tasks)),
        (u.tasks + jsonb_array_length(a.tasks) > (r.budget ->> 'tasks')::integer,
          'budget_violation', format('%s tasks more, the budget allows %s and %s were made', jsonb_array_length(a.tasks), r.budget ->> 'tasks', u.tasks)),
        (u.attempts + jsonb_array_length(a.tasks) > (r.budget ->> 'attempts')::integer,
          'budget_violation', format('%s tasks more, the budget allows %s attempts and %s were made', jsonb_array_length(a.tasks), r.budget ->> 'attempts', u.attempts))
      ) as v (broken, code, message)
      where v.broken and a.tasks is not null limit 1) as p on true;
  update app.run_steps as s set status = 'ERROR', error = j.error, tasks_open = 0, parked_at = null, ended_at = t
  from unnest(judged) as j
  where s.run_id = j.run_id and s.idx = j.idx and s.task_key = j.task_key and s.attempt = j.attempt and s.status = 'PENDING' and j.status = 'ERROR';
  return judged;
end
$$;
comment on function app.judge_tasks(app.lane_result[], timestamptz) is 'Tasks that the recipe does not expect, or more than it or the budget allows, make the attempt an ERROR.';

create or replace function app.commit_results(accepted app.lane_result[], worker text, drain boolean, t timestamptz)
returns setof app.assignment
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  finished app.lane_result[];   -- steps that are over, well or not; their runs move on
  kept app.assignment[];        -- lanes that the worker keeps
  has_artifacts boolean;
  has_receipts boolean;
  is_plain boolean;
begin
  select bool_or(a.artifacts is not null), bool_or(a.receipt), bool_and(a.status = 'SUCCESS' and a.task_key = '' and a.tasks is null)
  into has_artifacts, has_receipts, is_plain from unnest(accepted) as a;
  perform app.keep_artifacts(accepted, has_artifacts, t);
  if has_receipts then
    perform app.keep_receipts(accepted, t);
  end if;
  finished := case when is_plain then accepted else app.settle_results(accepted, t) end;

  -- lanes of a paused queue or partition stop at the step boundary
  if exists (select from app.queues as q where q.paused_at is not null) or exists (select from app.partitions as p where p.paused_at is not null) then
    finished := app.stop_paused(finished);
  end if;
  kept := app.advance(finished, worker => worker, t => t, work_lanes => not drain);
  if cardinality(kept) is distinct from cardinality(accepted) then
    perform app.drop_leases(l.queue_name, array_agg(l.msg_id order by l.msg_id))
    from unnest(accepted) as l
    where not exists (select from unnest(kept) as k where k.run_id = l.run_id and k.msg_id = l.msg_id and k.queue_name = l.queue_name)
    group by l.queue_name order by l.queue_name;
  end if;
  return query select * from unnest(kept);
end
$$;
comment on function app.commit_results(app.lane_result[], text, boolean, timestamptz) is 'Keeps what accepted results leave behind and moves their runs on; returns the lanes that go on with the same worker.';

create or replace function app.stop_paused(finished app.lane_result[])
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  i integer;
begin
  for i in
    select f.ordinality from unnest(finished) with ordinality as f
    where exists (select from app.queues as q where q.queue_name = f.queue_name and q.paused_at is not null)
      or exists (select from app.partitions as p where p.queue_name = f.queue_name and p.partition_key = f.partition_key and p.paused_at is not null)
  loop
    finished[i].msg_id := null;
  end loop;
  return finished;
end
$$;
comment on function app.stop_paused(app.lane_result[]) is 'Lanes of paused queues and partitions keep no lease: their next step goes in line.';

create or replace function app.settle_results(accepted app.lane_result[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  -- steps that bring their tasks in this very call: their fan-out sees how those of an earlier attempt ended, nobody else counts them
  fans text[] := array(select a.run_id || ' ' || a.idx from unnest(accepted) as a where a.tasks is not null);
  failed app.lane_result[];
  parents app.lane_result[];
begin
  failed := array(select a from unnest(accepted) as a where a.status = 'ERROR')
    || app.park(array(select a from unnest(accepted) as a where a.status = 'WAITING'), t);
  failed := app.retry_or_give_up(array(select f from unnest(failed) as f where f.task_key = '' or f.run_id || ' ' || f.idx <> all (fans)), t);
  parents := app.fan_out(array(select a from unnest(accepted) as a where a.tasks is not null), t)
    || app.join_tasks(
      array(select a from unnest(accepted) as a where a.task_key <> '' and a.status = 'SUCCESS' and a.run_id || ' ' || a.idx <> all (fans))
      || array(select f from unnest(failed) as f where f.task_key <> ''), t);
  return array(select a from unnest(accepted) as a where a.task_key = '' and a.status = 'SUCCESS' and a.tasks is null)
    || array(select f from unnest(failed) as f where f.task_key = '')
    || parents;
end
$$;
comment on function app.settle_results(app.lane_result[], timestamptz) is 'The less common outcomes: retries, waits, fan-out, joins. Returns the steps that are over.';

create or replace function app.work_rows(worker text, results app.result[] default '{}', want jsonb default '{}')
returns setof app.assignment
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  accepted app.lane_result[];
  wanted record;
begin
  if coalesce(work_rows.worker, '') !~ '\S' then
    perform app.check_input('worker', jsonb_build_object('worker', work_rows.worker));
  end if;
  if coalesce(work_rows.want, '{}') <> '{}' then
    perform app.check_want(work_rows.want);
  end if;

  if cardinality(work_rows.results) > 0 then
    perform app.check_rows(work_rows.results);
    accepted := app.accept_results(work_rows.worker, work_rows.results);
    if coalesce(cardinality(accepted), 0) < cardinality(work_rows.results) then
      return query
        select 'refused', g.run_id, null::text, g.idx, g.task_key, g.attempt, g.queue_name, g.msg_id, g.read_ct, null::text, null::integer, null::jsonb,
          case when exists (
            -- the same result came before, and its answer was lost
            select from app.run_steps as s
            where s.run_id = g.run_id and s.idx = g.idx and s.task_key = g.task_key and s.attempt = g.attempt and s.worker = work_rows.worker
              and s.queue_name = g.queue_name and s.msg_id = g.msg_id and s.read_ct = g.read_ct and s.status in ('SUCCESS', 'ERROR') and not s.lost)
            then 'already_committed' else 'stale_lease' end
        from unnest(work_rows.results) as g
        where not exists (
          select from unnest(accepted) as a
          where a.run_id = g.run_id and a.idx = g.idx and a.task_key = g.task_key and a.attempt = g.attempt
            and a.queue_name = g.queue_name and a.msg_id = g.msg_id and a.read_ct = g.read_ct);
    end if;
    if accepted is not null then
      return query select * from app.commit_results(accepted, work_rows.worker, coalesce((work_rows.want ->> 'drain')::boolean, false), app.now());
    end if;
  end if;

  if (work_rows.want ->> 'recover')::boolean then
    perform app.recover_leases();
    perform app.fire_timers();
    perform app.fire_schedules();
    perform app.sample_queues();
  end if;
  if coalesce(work_rows.want -> 'queues', '{}') in ('{}', 'null') then
    return;
  end if;
  if exists (select from jsonb_each_text(work_rows.want -> 'queues') as w where w.value::integer > 0)
    and not exists (select from app.workers as w where w.worker = work_rows.worker and w.stopped_at is null)
  then
    perform app.fail('PT404', 'worker_not_found', format('worker %s is not registered', work_rows.worker), null, 'call app.register_worker first');
  end if;
  for wanted in
    select w.key, w.value::integer as n, app.has_limits(q) as limited from jsonb_each_text(work_rows.want -> 'queues') as w
      join app.queues as q on q.queue_name = w.key and q.paused_at is null where w.value::integer > 0 order by w.key
  loop
    return query select * from app.claim(work_rows.worker, coalesce(work_rows.want ->> 'appVersion', app.setting('app_version')), wanted.key, wanted.n, wanted.limited);
  end loop;
end
$$;
comment on function app.work_rows(text, app.result[], jsonb) is
  'app.work for whoever sends results as rows: the same, and a good deal faster, for nothing is parsed and looked at but what the types do not say.';

create or replace function app.work(worker text, results jsonb default '[]', want jsonb default '{}')
returns setof app.assignment
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select * from app.work_rows(work.worker, case when coalesce(work.results, '[]') <> '[]' then app.read_results(work.results) end, work.want);
$$;
comment on function app.work(text, jsonb, jsonb) is
  'For runners: commits finished results and claims the next steps in one call. results are described in db/38_results.sql, want in db/40_work.sql; rows are app.assignment. A stale result comes back as refused; a malformed one is PT400 and nothing of the call is written.';

create or replace function app.check_want(want jsonb)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if jsonb_typeof(want) = 'object' and want - array['queues', 'appVersion', 'recover', 'drain'] = '{}'
    and coalesce(jsonb_typeof(want -> 'queues'), 'object') = 'object'
    and coalesce(jsonb_typeof(want -> 'appVersion'), 'string') = 'string' and coalesce(length(want ->> 'appVersion') <= 128 and want ->> 'appVersion' ~ '\S', true)
    and coalesce(jsonb_typeof(want -> 'recover'), 'boolean') = 'boolean'
    and coalesce(jsonb_typeof(want -> 'drain'), 'boolean') = 'boolean'
  then
    -- most calls want none, and a condition without a query costs next to nothing
    if coalesce(want -> 'queues', '{}') = '{}' then
      return;
    elsif (select bool_and(coalesce(w.value ~ '^[0-9]{1,5}$', false) and exists (select from app.queues as q where q.queue_name = w.key)) from jsonb_each_text(want -> 'queues') as w) then
      return;
    end if;
  end if;
  perform app.check_input('want', want, 'want');
  perform app.refuse('work', (
    select coalesce(jsonb_agg(jsonb_build_object('path', 'want.queues.' || w.key,
      'message', case when exists (select from app.queues as q where q.queue_name = w.key) then 'must be an integer between 0 and 99999' else 'is not a queue' end)
      order by w.key), '[]')
    from jsonb_each_text(case jsonb_typeof(want -> 'queues') when 'object' then want -> 'queues' else '{}' end) as w
    where w.value is null or w.value !~ '^[0-9]{1,5}$' or not exists (select from app.queues as q where q.queue_name = w.key)));
end
$$;
comment on function app.check_want(jsonb) is 'Raises PT400 when a runner asks for something that is not.';
