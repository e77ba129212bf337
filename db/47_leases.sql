-- Leases: picked steps are handed to a worker, each with all that its handler looks at.
--
--   app.hand_out(worker, queue, picked, t) → setof app.assignment
--
-- Invariant: what Postgres cannot put together for one step (a jsonb ends at 256 MiB) ends the run of that step, and keeps no other waiting.

create or replace function app.hand_out(worker text, queue text, picked app.run_steps[], t timestamptz)
returns setof app.assignment
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  step app.run_steps;
begin
  return query select * from app.lease_steps(worker, queue, picked, t);
exception when program_limit_exceeded then
  if cardinality(picked) > 1 then
    foreach step in array picked loop
      -- one that was too large has ended its run, and with that the others of it
      return query select h.* from app.runs as r cross join lateral app.hand_out(worker, queue, array[step], t) as h where r.run_id = step.run_id and r.ended_at is null;
    end loop;
  elsif exists (select from app.runs as r where r.run_id = picked[1].run_id and r.ended_at is null for no key update skip locked) then
    perform app.fail_runs(array[picked[1].run_id], array[jsonb_build_object('code', 'lease_failed', 'stepID', picked[1].step_id, 'attempt', picked[1].attempt,
      'message', format('it could not be handed to a worker: %s', sqlerrm))], t);
  end if;
end
$$;
comment on function app.hand_out(text, text, app.run_steps[], timestamptz) is
  'Leases picked steps to a worker. If one is too large for Postgres, each by itself: its run ends in ERROR lease_failed.';

create or replace function app.lease_steps(worker text, queue text, picked app.run_steps[], t timestamptz)
returns setof app.assignment
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
  ids bigint[];
begin
  ids := app.send_leases(queue, array(
      select jsonb_build_object('runId', s.run_id, 'taskKey', s.task_key, 'partition', s.partition_key, 'worker', lease_steps.worker) from unnest(picked) as s),
    (select q.lease_seconds from app.queues as q where q.queue_name = queue));
  return query
    with leased as (
      update app.run_steps as s set status = 'PENDING', queue_seq = null, worker = lease_steps.worker, msg_id = f.msg_id, read_ct = 0, started_at = coalesce(s.started_at, t)
      from (select f.run_id, f.idx, f.task_key, f.attempt, f.unnest as msg_id from rows from (unnest(picked), unnest(ids)) as f) as f
      where s.run_id = f.run_id and s.idx = f.idx and s.task_key = f.task_key and s.attempt = f.attempt
      returning s.*
    )
    select 'assigned', s.run_id, s.step_id, s.idx, s.task_key, s.attempt, s.queue_name, s.msg_id, s.read_ct,
      case s.task_key when '' then c.handler else c.fan_handler end, case s.task_key when '' then c.timeout_ms else c.fan_timeout_ms end,
      jsonb_build_object('intent', i.body, 'recipe', jsonb_build_object('name', p.name, 'version', p.version, 'settings', p.settings),
        -- a step gets written out what app.run_outputs says: the call would cost it more than a scan of a few attempts
        'outputs', case when s.idx = 0 then '{}' when s.task_key <> '' then app.run_outputs(s.run_id, r.recipe_id) else (
          select coalesce(jsonb_object_agg(o.step_id, o.output), '{}') from app.run_steps as o
          where o.run_id = s.run_id and o.task_key = '' and o.status = 'SUCCESS') end,
        'gates', case when s.idx = 0 and not c.is_gated and k.checkpoints is null then '{}' else (
          select coalesce(jsonb_object_agg(g.gate_key, g.payload), '{}') from app.gates as g where g.run_id = s.run_id and g.status = 'ANSWERED') end,
        'task', s.input, 'ocMode', r.oc_mode, 'sbxMode', r.sbx_mode, 'traceId', r.trace_id, 'queuePartitionKey', nullif(r.partition_key, ''))
        || case when k.checkpoints is null and s.task_key = '' and s.started_at = t then '{}' else
          -- its place in the trace of the run
          jsonb_strip_nulls(jsonb_build_object('startedAt', case when s.started_at < t then app.epoch_us(s.started_at) end,
            'parent', case when s.task_key <> '' then (
              select jsonb_build_object('attempt', o.attempt, 'spanId', o.span_id) from app.run_steps as o
              where o.run_id = s.run_id and o.idx = s.idx and o.task_key = '' order by o.attempt desc limit 1) end))
          || case when k.checkpoints is null then '{}' else jsonb_build_object('checkpoints', k.checkpoints) end end,
      null::text
    from leased as s
      join app.runs as r on r.run_id = s.run_id
      join app.intents as i on i.intent_id = r.intent_id
      join app.recipes as p on p.recipe_id = r.recipe_id
      join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = s.idx
      cross join lateral (
        -- an attempt that begins for the first time has none
        select jsonb_agg(jsonb_build_object('seq', p.seq, 'kind', p.kind, 'name', p.name, 'value', case p.kind
            when 'sleep' then p.value || jsonb_build_object('over', (p.value ->> 'wakeAt')::bigint <= app.epoch_ms(t))
            when 'gate' then (
              select coalesce(jsonb_object_agg('payload', g.payload), '{}') from app.gates as g
              where g.run_id = p.run_id and g.gate_key = p.name and g.status = 'ANSWERED')
            else p.value end) order by p.seq)
        from app.checkpoints as p
        where (s.attempt > 1 or s.started_at < t) and p.run_id = s.run_id and p.idx = s.idx and p.task_key = s.task_key) as k (checkpoints);
end
$$;
comment on function app.lease_steps(text, text, app.run_steps[], timestamptz) is 'Gives picked steps to a worker: message sent invisible, attempt PENDING with the fencing token.';
