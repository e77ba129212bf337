-- Checkpoints: what a handler has done so far, so that code which ran before a crash is not run again; and how a handler waits.
--
--   app.checkpoint(worker, lease, entry) → {seq, kind, name, value, isReplay}    one result, or one artifact, for the holder of the lease
--   app.park(waiting, t) → those that cannot wait                                 part of work: results of status WAITING
--   app.unpark(run_id, idx, task_key)                                             the timer fired, the gate was answered
--
-- A handler that waits gives its worker back: its attempt stays PENDING, parked, without a lease. It goes in line again as the same attempt and
-- gets its checkpoints with the assignment. Invariant: a place (seq) is written once; another kind or name at it is a determinism error.
-- Lock order: run_steps alone (a checkpoint) · the runs' locks are held (park, unpark).

create or replace function app.checkpoint(worker text, lease jsonb, entry jsonb)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  step app.run_steps;
  place app.checkpoints;
  artifact bigint;
begin
  perform app.check_checkpoint(checkpoint.worker, checkpoint.lease, checkpoint.entry);
  select s.* into step from app.run_steps as s
  where s.run_id = lease ->> 'runId' and s.idx = (lease ->> 'idx')::integer and s.task_key = lease ->> 'taskKey' and s.status = 'PENDING'
    and s.queue_name = lease ->> 'queue' and s.msg_id = (lease ->> 'msgId')::bigint and s.read_ct = (lease ->> 'readCt')::integer
    and s.worker = checkpoint.worker
  for no key update;
  if not found then
    perform app.fail('PT409', 'stale_lease', format('worker %s does not hold step %s of run %s', checkpoint.worker, lease ->> 'idx', lease ->> 'runId'), null,
      'stop: somebody else goes on from the last checkpoint');
  end if;
  place := app.checkpoint_at(step, (entry ->> 'seq')::integer, entry ->> 'kind', entry ->> 'name');
  if place.run_id is not null then
    return to_jsonb(place) - array['run_id', 'idx', 'task_key', 'attempt', 'created_at'] || '{"isReplay": true}';
  end if;
  if entry ->> 'kind' = 'emit' then
    perform app.keep_emitted(step, (entry ->> 'seq')::integer, entry -> 'artifact', t);
    artifact := currval('app.artifacts_artifact_id_seq');
  end if;
  insert into app.checkpoints as c (run_id, idx, task_key, seq, kind, name, value, attempt, created_at)
  values (step.run_id, step.idx, step.task_key, (entry ->> 'seq')::integer, entry ->> 'kind', entry ->> 'name',
    case when artifact is not null then jsonb_build_object('artifactId', artifact) else entry -> 'value' end, step.attempt, t)
  returning c.* into place;
  return to_jsonb(place) - array['run_id', 'idx', 'task_key', 'attempt', 'created_at'] || '{"isReplay": false}';
end
$$;
comment on function app.checkpoint(text, jsonb, jsonb) is
  'For runners: commits one checkpoint {seq, kind: step | emit, name, value? | artifact?} of a handler whose lease {queue, msgId, readCt, runId, idx, taskKey} the worker holds. Returns {seq, kind, name, value, isReplay}. PT409 stale_lease, or determinism_error when another kind or name has the place.';

create or replace function app.check_checkpoint(worker text, lease jsonb, entry jsonb)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.check_input('worker', jsonb_build_object('worker', check_checkpoint.worker));
  perform app.check_input('lease', check_checkpoint.lease, 'lease');
  perform app.check_input('checkpoint', check_checkpoint.entry, 'entry');
  perform app.refuse('checkpoint', (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from (
      select concat_ws('.', 'artifact', nullif(a.path, '')), a.message
      from app.faults('artifact', jsonb_build_array(coalesce(entry -> 'artifact', 'null')), '') as a where entry ->> 'kind' = 'emit'
      union all
      select 'artifact', 'must have inline or body, and not both'
      where entry ->> 'kind' = 'emit' and jsonb_typeof(entry -> 'artifact') = 'object'
        and (entry -> 'artifact' ? 'inline') = (jsonb_typeof(entry #> '{artifact,body}') is not distinct from 'string')
      union all
      select k.key, format('does not go with kind %s', entry ->> 'kind') from unnest(array['artifact', 'value']) as k (key)
      where k.key = case entry ->> 'kind' when 'emit' then 'value' else 'artifact' end and nullif(entry -> k.key, 'null') is not null
    ) as f (path, message)));
end
$$;
comment on function app.check_checkpoint(text, jsonb, jsonb) is 'Raises PT400 that lists every fault of a checkpoint.';

create or replace function app.checkpoint_at(step app.run_steps, seq integer, kind text, name text)
returns app.checkpoints
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  place app.checkpoints;
begin
  select c.* into place from app.checkpoints as c
  where c.run_id = step.run_id and c.idx = step.idx and c.task_key = step.task_key and c.seq = checkpoint_at.seq;
  if found and (place.kind, place.name) is distinct from (checkpoint_at.kind, checkpoint_at.name) then
    perform app.fail('PT409', 'determinism_error',
      format('%s: checkpoint %s was %s %s, the code now says %s %s', step.step_id, place.seq, place.kind, place.name, checkpoint_at.kind, checkpoint_at.name),
      jsonb_build_object('drift', to_jsonb(array_remove(array[app.drift('kind', place.kind, checkpoint_at.kind), app.drift('name', place.name, checkpoint_at.name)], null))),
      'let the old code finish this run under its app version, or fork the run');
  end if;
  return place;
end
$$;
comment on function app.checkpoint_at(app.run_steps, integer, text, text) is 'The checkpoint at a place, or null. PT409 determinism_error when it is another one.';

create or replace function app.keep_emitted(step app.run_steps, seq integer, artifact jsonb, t timestamptz)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  select app.keep_artifacts(array[(step.run_id, step.idx, step.task_key, step.attempt, step.step_id, null, null, null, 'PENDING', null,
    jsonb_build_array(artifact), null, false, null, null, null, null, null, null, null, null)::app.lane_result], true, t);
  update app.artifacts as a set idx = 1000 + seq
  where a.artifact_id = (select currval('app.artifacts_artifact_id_seq'));
$$;
comment on function app.keep_emitted(app.run_steps, integer, jsonb, timestamptz) is 'Writes an artifact that a handler emits, idx 1000 + seq.';

create or replace function app.park(waiting app.lane_result[], t timestamptz)
returns app.lane_result[]
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  lane app.lane_result;
  fault jsonb;
  failed app.lane_result[] := '{}'::app.lane_result[];
begin
  foreach lane in array waiting loop
    if lane.run_status not in ('PENDING', 'WAITING_INPUT') then
      update app.run_steps as s set status = 'CANCELLED', ended_at = t, parked_at = null
      where s.run_id = lane.run_id and s.idx = lane.idx and s.task_key = lane.task_key and s.attempt = lane.attempt;
      continue;
    end if;
    fault := app.wait_fault(lane);
    if fault is not null then
      update app.run_steps as s set status = 'ERROR', ended_at = t, parked_at = null, error = fault
      where s.run_id = lane.run_id and s.idx = lane.idx and s.task_key = lane.task_key and s.attempt = lane.attempt;
      lane.status := 'ERROR';
      lane.error := fault;
      failed := failed || lane;
      continue;
    end if;
    insert into app.checkpoints (run_id, idx, task_key, seq, kind, name, value, attempt, created_at)
    values (lane.run_id, lane.idx, lane.task_key, (lane.output ->> 'seq')::integer, lane.output ->> 'kind', lane.output ->> 'name',
      case lane.output ->> 'kind' when 'sleep' then jsonb_build_object('wakeAt', app.epoch_ms(t + (lane.output ->> 'ms')::bigint * interval '1 ms')) end, lane.attempt, t)
    on conflict do nothing;
    if lane.output ->> 'kind' = 'sleep' then
      perform app.park_for_time(lane, t);
    else
      perform app.park_at_gate(lane, t);
    end if;
  end loop;
  return failed;
end
$$;
comment on function app.park(app.lane_result[], timestamptz) is 'Parks attempts whose handlers wait. Returns, ended in ERROR, those that cannot.';

create or replace function app.wait_fault(lane app.lane_result)
returns jsonb
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('code', f.code, 'message', f.message, 'retryable', false) from (
    select 'determinism_error', format('%s: checkpoint %s was %s %s, the code now says %s %s', lane.step_id, c.seq, c.kind, c.name, lane.output ->> 'kind', lane.output ->> 'name')
    from app.checkpoints as c
    where c.run_id = lane.run_id and c.idx = lane.idx and c.task_key = lane.task_key and c.seq = (lane.output ->> 'seq')::integer
      and (c.kind, c.name) is distinct from (lane.output ->> 'kind', lane.output ->> 'name')
    union all
    select 'gate_key_taken', format('gate %s of run %s belongs to another step', lane.output ->> 'name', lane.run_id)
    where lane.output ->> 'kind' = 'gate' and (
      exists (select from app.recipe_gates as c where c.recipe_id = lane.recipe_id and c.gate_key = lane.output ->> 'name')
      or exists (select from app.gates as g where g.run_id = lane.run_id and g.gate_key = lane.output ->> 'name'
        and (g.idx, g.task_key, g.from_handler) is distinct from (lane.idx, lane.task_key, true)))
    limit 1) as f (code, message);
$$;
comment on function app.wait_fault(app.lane_result) is 'Why a handler cannot wait like this, as the error of its attempt; else null.';

create or replace function app.park_for_time(lane app.lane_result, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  wake_at timestamptz;
begin
  select timestamptz 'epoch' + (c.value ->> 'wakeAt')::bigint * interval '1 ms' into wake_at from app.checkpoints as c
  where c.run_id = lane.run_id and c.idx = lane.idx and c.task_key = lane.task_key and c.seq = (lane.output ->> 'seq')::integer;
  if wake_at <= t then
    perform app.unpark(lane.run_id, lane.idx, lane.task_key);
  else
    insert into app.timers (kind, run_id, idx, task_key, fire_at, created_at) values ('sleep', lane.run_id, lane.idx, lane.task_key, wake_at, t);
  end if;
end
$$;
comment on function app.park_for_time(app.lane_result, timestamptz) is 'A handler sleeps until the time that its checkpoint says, whatever happened meanwhile.';

create or replace function app.park_at_gate(lane app.lane_result, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  gate jsonb := coalesce(nullif(lane.output -> 'gate', 'null'), '{}');
  shows text[] := array(select jsonb_array_elements_text(nullif(gate -> 'shows', 'null')));
  known app.gates;
begin
  select g.* into known from app.gates as g where g.run_id = lane.run_id and g.gate_key = lane.output ->> 'name';
  if known.status = 'ANSWERED' then
    perform app.unpark(lane.run_id, lane.idx, lane.task_key);
  elsif known.status is distinct from 'OPEN' then
    perform app.wait_for_gates(array[lane.run_id], t);
    perform app.ask_at_gates(array[row(lane.run_id, lane.output ->> 'name', lane.idx, coalesce(gate ->> 'kind', 'input'), gate ->> 'title', 'OPEN', t,
      t + (gate ->> 'ttlMS')::bigint * interval '1 ms', null, null, null, 1, lane.task_key, coalesce(gate ->> 'onExpiry', 'fail'), nullif(gate -> 'answer', 'null'),
      shows, app.shown_sha256(lane.run_id, shows), coalesce((gate ->> 'quorum')::integer, 1), coalesce((gate ->> 'selfApproval')::boolean, true), true)::app.gates], t);
  end if;
end
$$;
comment on function app.park_at_gate(app.lane_result, timestamptz) is 'A handler asks a human; it goes on at once when the answer is there.';

create or replace function app.unpark(run_id text, idx integer, task_key text)
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
    update app.run_steps as s set parked_at = null, queue_seq = r.queue_seq from app.runs as r
    where r.run_id = s.run_id and s.run_id = unpark.run_id and s.idx = unpark.idx and s.task_key = unpark.task_key and s.status = 'PENDING' and s.parked_at is not null
    returning s.queue_name
  )
  select array_agg(step.queue_name) into woken from step;
  perform app.wake_runners(woken);
end
$$;
comment on function app.unpark(text, integer, text) is 'A parked attempt goes in line again, at the place of its run.';
