-- Workers: who is there, and what happens to the work of those who are not.
--
--   app.register_worker(worker, info) → {worker, released}    a worker that restarts under its name gives its old leases back at once
--   app.heartbeat(worker, leases) → directives                 extends what is still held; says which lanes to stop
--   app.release(worker, leases) → how many                     gives lanes back
--   app.retire_worker(worker)                                  leaves
--   app.recover_leases() → how many                            part of work: takes over from those who gave no sign of life
--
-- A lost attempt ends as ERROR lease_expired (or lease_released) and a new one takes its place in line. Lost workers do not use up the
-- step's attempts; max_recoveries of the queue in a row are too many (poison pill); a loss after
-- the run had ended breaks the row.
-- Invariant: the lease of an attempt that ended this way can never commit. Leases and liveness use the real clock.

create or replace function app.lose_leases(lost app.lease[], code text, message text)
returns integer
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
declare
  t timestamptz;
  held text[];
  again app.run_steps[];
  poisoned app.run_steps[];
  n integer;
  stopped text[];
begin
  held := array(
    select r.run_id from app.runs as r where r.run_id = any (array(select l.run_id from unnest(lost) as l))
    order by r.run_id for no key update skip locked);
  -- behind the locks: what ends here ends after a resume that was faster, or no end of the run would tell it
  t := app.now();
  with attempt as (
    select s.ctid as place, q.max_recoveries,
      r.status in ('PENDING', 'WAITING_INPUT') and (s.task_key = '' or app.is_wanted(s.run_id, s.idx, s.task_key)) as goes_on,
      (select count(*) from app.run_steps as a
       where a.run_id = s.run_id and a.idx = s.idx and a.task_key = s.task_key
         and a.status = 'ERROR' and a.lost and a.error ->> 'code' = 'lease_expired'
         and a.attempt > coalesce((
           select max(b.attempt) from app.run_steps as b
           where b.run_id = s.run_id and b.idx = s.idx and b.task_key = s.task_key and b.attempt < s.attempt
             and not (b.status = 'ERROR' and b.lost and b.error ->> 'code' = 'lease_expired')), 0)) as in_a_row
    from unnest(lost) as l
      -- one attempt has it: asked for by the run alone, each lease would read all its tasks
      cross join lateral (
        select p.ctid, p.run_id, p.idx, p.task_key, p.attempt, p.queue_name from app.run_steps as p
        where p.run_id = l.run_id and p.task_key = l.task_key and p.status = 'PENDING' and p.queue_name = l.queue_name and p.msg_id = l.msg_id limit 1) as s
      join app.runs as r on r.run_id = s.run_id
      join app.queues as q on q.queue_name = s.queue_name
    where l.run_id = any (held)
  ), ended as (
    update app.run_steps as s set
      status = case when a.goes_on then 'ERROR' else 'CANCELLED' end, ended_at = t, lost = true,
      error = jsonb_build_object(
        'code', case when a.goes_on and lose_leases.code = 'lease_expired' and a.in_a_row >= a.max_recoveries then 'max_recovery_attempts_exceeded' else lose_leases.code end,
        'message', format(lose_leases.message, s.worker))
    from attempt as a
    where s.ctid = a.place
    returning s
  )
  select array_agg(e.s) filter (where (e.s).status = 'ERROR' and (e.s).error ->> 'code' = lose_leases.code),
    array_agg(e.s) filter (where (e.s).status = 'ERROR' and (e.s).error ->> 'code' <> lose_leases.code),
    array_agg(distinct (e.s).run_id) filter (where (e.s).status = 'CANCELLED' or (e.s).error ->> 'code' <> lose_leases.code), count(*)
  into again, poisoned, stopped, n from ended as e;

  if again is not null then
    perform app.enqueue_attempts(
      array(select a.run_id from unnest(again) as a), array(select a.idx from unnest(again) as a), array(select a.task_key from unnest(again) as a), t);
  end if;
  if poisoned is not null then
    update app.runs as r set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', ended_at = t, updated_at = t,
      error = p.error || jsonb_build_object('stepID', p.step_id, 'attempt', p.attempt)
    from unnest(poisoned) as p where r.run_id = p.run_id and r.status || '' in ('PENDING', 'WAITING_INPUT');
    perform app.close_runs(array(select p.run_id from unnest(poisoned) as p), t);
  end if;
  if stopped is not null then
    perform app.note_ends(stopped);
  end if;
  if exists (select from unnest(lost) as l where l.run_id <> all (held)) then
    -- those that are left alone are over, too: whoever looked at one has renewed it, and whoever gave it back holds it no more. With the others, in
    -- the order of a heartbeat that comes at this moment: one after the other, each would wait for what the other has
    perform app.extend_leases(q.queue_name, q.ids, 0)
    from (select l.queue_name, array_agg(l.msg_id) as ids from unnest(lost) as l group by l.queue_name order by l.queue_name) as q;
  end if;
  perform app.drop_leases(l.queue_name, array_agg(l.msg_id order by l.msg_id)) from unnest(lost) as l where l.run_id = any (held) group by l.queue_name order by l.queue_name;
  return n;
end
$$;
comment on function app.lose_leases(app.lease[], text, text) is 'Ends the attempts that hold these leases and puts new ones in line, where their runs go on; returns how many it ended. Runs that somebody else holds at this moment are left for the next time, which is at once.';

create or replace function app.recover_leases()
returns integer
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  queue app.queues;
  lost app.lease[];
  many integer;
  over integer;
  n integer := 0;
  read bigint;
  front record;
begin
  for queue in select q.* from app.queues as q order by q.queue_name loop
    if not app.may_look('leases_' || queue.queue_name) then
      -- until then a glance, from the oldest that there was at the last one: ids only grow
      select f.* into front from app.lease_front(queue.queue_name, coalesce(nullif(current_setting('sisu.lease_' || lower(queue.queue_name), true), ''), '0')::bigint) as f;
      perform set_config('sisu.lease_' || lower(queue.queue_name), front.first_id::text, false) where front.first_id is not null;
      continue when not front.is_expired;
    end if;
    -- a hundred; if somebody holds the runs of them all, the thousand that they stand before
    foreach many in array array[100, 1000] loop
      read := app.lease_entries_read(queue.queue_name);
      lost := array(select l from app.expired_leases(queue.queue_name, queue.lease_seconds, many) as l);
      -- ten times as rare as others, because of the glances
      perform app.looked('leases_' || queue.queue_name, 10 * (app.lease_entries_read(queue.queue_name) - read));
      over := case when cardinality(lost) > 0 then app.lose_leases(lost, 'lease_expired', 'worker %s gave no sign of life') else 0 end;
      n := n + over;
      exit when over > 0 or cardinality(lost) < many;
    end loop;
  end loop;
  return n;
end
$$;
comment on function app.recover_leases() is 'Takes over up to 100 expired leases per queue, and up to 1000 behind a hundred whose runs somebody holds.';

create or replace function app.leases_of(worker text)
returns app.lease[]
language sql
stable
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
  select array(
    select l from app.leases() as l
    where coalesce(l.worker, $1) = $1 and (
      select s.worker from app.run_steps as s
      where s.run_id = l.run_id and s.task_key = l.task_key and s.status = 'PENDING' and s.queue_name = l.queue_name and s.msg_id = l.msg_id limit 1) = $1);
$$;
comment on function app.leases_of(text) is 'The leases a worker holds.';

create or replace function app.register_worker(worker text, info jsonb)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  lost app.lease[];
begin
  perform app.check_input('worker', jsonb_build_object('worker', register_worker.worker));
  perform app.check_input('register_worker', register_worker.info, 'info');
  perform app.refuse('register_worker', (
    select coalesce(jsonb_agg(jsonb_build_object('path', format('queues[%s]', q.ordinality - 1), 'message', 'is not a queue')), '[]')
    from jsonb_array_elements(register_worker.info -> 'queues') with ordinality as q
    where not exists (select from app.queues as a where to_jsonb(a.queue_name) = q.value)));
  insert into app.workers as w (worker, app_version, queues, concurrency, host, pid, started_at, last_seen_at)
  values (register_worker.worker, info ->> 'appVersion', array(select jsonb_array_elements_text(info -> 'queues')), (info ->> 'concurrency')::integer,
    info ->> 'host', (info ->> 'pid')::integer, clock_timestamp(), clock_timestamp())
  on conflict on constraint workers_pkey do update set app_version = excluded.app_version, queues = excluded.queues, concurrency = excluded.concurrency,
    host = excluded.host, pid = excluded.pid, started_at = excluded.started_at, last_seen_at = excluded.last_seen_at, stopped_at = null;
  lost := case when (info ->> 'keepLeases')::boolean then '{}' else app.leases_of(register_worker.worker) end;
  return jsonb_build_object('worker', register_worker.worker, 'released',
    case when cardinality(lost) > 0 then app.lose_leases(lost, 'lease_expired', 'worker %s was restarted') else 0 end);
end
$$;
comment on function app.register_worker(text, jsonb) is
  'A worker begins: info {appVersion, queues[], concurrency, host?, pid?, keepLeases?}. Leases it held under the same name before are taken back at once, unless keepLeases says that it is the same process still. Returns {worker, released}.';

create or replace function app.check_leases(leases jsonb)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  -- a glance, as a beat may bring thousands; only what fails it is looked at rule by rule
  if jsonb_typeof(leases) is distinct from 'array' or not (
    select coalesce(bool_and(coalesce(
      jsonb_typeof(l.value) = 'object' and l.value - array['queue', 'msgId', 'readCt', 'runId', 'idx', 'taskKey'] = '{}' and jsonb_typeof(l.value -> 'queue') = 'string'
      and jsonb_typeof(l.value -> 'runId') = 'string' and jsonb_typeof(l.value -> 'taskKey') = 'string'
      -- in the order of jsonb values only a number stands between two numbers
      and l.value -> 'msgId' between '1' and '999999999999999999' and l.value -> 'readCt' between '0' and '999999999' and l.value -> 'idx' between '0' and '999999'
      and concat(l.value -> 'msgId', l.value -> 'readCt', l.value -> 'idx') not like '%.%', false)), true)
    from jsonb_array_elements(leases) as l)
  then
    perform app.check_items('lease', leases, 'leases[]');
  end if;
end
$$;
comment on function app.check_leases(jsonb) is 'Raises PT400 for a malformed list of leases.';

create or replace function app.held(worker text, leases jsonb)
returns setof app.lease
language sql
stable
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
  select s.queue_name, s.msg_id, s.read_ct, null::timestamptz, s.run_id, s.task_key, s.partition_key, s.worker, s.started_at
  from jsonb_to_recordset(held.leases) as x ("runId" text, idx integer, "taskKey" text, queue text, "msgId" bigint, "readCt" integer)
    -- a probe for each, as in app.accept_results
    cross join lateral (
      select p.* from app.run_steps as p
      where p.run_id = x."runId" and p.idx = x.idx and p.task_key = x."taskKey" and p.status = 'PENDING'
        and p.queue_name = x.queue and p.msg_id = x."msgId" and p.read_ct = x."readCt" and p.worker = held.worker limit 1) as s;
$$;
comment on function app.held(text, jsonb) is 'Those of the given leases that the worker still holds.';

create or replace function app.heartbeat(worker text, leases jsonb default '[]')
returns table (directive text, run_id text, idx integer, task_key text, queue_name text, msg_id bigint)
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
set enable_seqscan = off
as $$
begin
  perform app.check_input('worker', jsonb_build_object('worker', heartbeat.worker));
  perform app.check_leases(heartbeat.leases);
  update app.workers as w set last_seen_at = clock_timestamp() where w.worker = heartbeat.worker and w.stopped_at is null;
  if not found then
    perform app.fail('PT404', 'worker_not_found', format('worker %s is not registered', heartbeat.worker), null, 'call app.register_worker first');
  end if;
  perform app.extend_leases(q.queue_name, q.ids, (select a.lease_seconds from app.queues as a where a.queue_name = q.queue_name))
  from (select h.queue_name, array_agg(h.msg_id) as ids from app.held(heartbeat.worker, heartbeat.leases) as h group by h.queue_name order by h.queue_name) as q;
  return query
    select case when h.msg_id is null then 'lost' else 'cancel' end, x."runId", x.idx, x."taskKey", x.queue, x."msgId"
    from jsonb_to_recordset(heartbeat.leases) as x ("runId" text, idx integer, "taskKey" text, queue text, "msgId" bigint)
      left join app.held(heartbeat.worker, heartbeat.leases) as h on h.queue_name = x.queue and h.msg_id = x."msgId"
    where h.msg_id is null or (select r.ended_at from app.runs as r where r.run_id = x."runId") is not null or (x."taskKey" <> '' and not app.is_wanted(x."runId", x.idx, x."taskKey"));
end
$$;
comment on function app.heartbeat(text, jsonb) is
  'A sign of life: extends the given leases [{queue, msgId, readCt, runId, idx, taskKey}] that are still held. Rows say what to stop: lost (somebody else has it) or cancel (the run ended, or nobody waits for the task). PT404 for a worker that is not registered.';

create or replace function app.release(worker text, leases jsonb)
returns integer
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('worker', jsonb_build_object('worker', release.worker));
  perform app.check_leases(release.leases);
  return app.lose_leases(array(select h from app.held(release.worker, release.leases) as h), 'lease_released', 'worker %s gave it back');
end
$$;
comment on function app.release(text, jsonb) is 'Gives lanes back; each goes in line again at its old place. Returns how many were held.';

create or replace function app.retire_worker(worker text)
returns void
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('worker', jsonb_build_object('worker', retire_worker.worker));
  update app.workers as w set stopped_at = clock_timestamp() where w.worker = retire_worker.worker;
  if not found then
    perform app.fail('PT404', 'worker_not_found', format('worker %s is not registered', retire_worker.worker), null, 'select * from app.v_ops_workers');
  end if;
  perform app.lose_leases(app.leases_of(retire_worker.worker), 'lease_released', 'worker %s left');
end
$$;
comment on function app.retire_worker(text) is 'A worker leaves and gives back what it still holds. PT404.';
