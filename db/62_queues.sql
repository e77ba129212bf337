-- Queues on duty: how much is handed out and to whom, stop handing out, and go on.
--
--   app.pause_queue(queue_name, actor, reason, dry_run)        nothing of it is handed out any more; a step under way ends, the next waits
--   app.unpause_queue(queue_name, actor, reason, dry_run)      it is served again, at once
--   app.pause_partition · app.unpause_partition(queue_name, partition_key, actor, reason, dry_run)       the same for one partition
--   app.set_limits(queue_name, limits jsonb, actor, reason, dry_run)       {maxRunning, maxRunningPerPartition, maxRunningPerWorker, rate, ratePerPartition, ageingSeconds}
--   app.set_partition(queue_name, partition_key, options jsonb, actor, reason, dry_run)                  {weight, maxRunning}
--   app.recover()                                              by hand what a runner does for the others: expired leases, due timers
--
-- Those before the last return {accepted, queueName, …, dryRun}. Every accepted call appends one OPS artifact under queue/<name>, or
-- queue/<name>/<partition> (app.list_artifacts has them); a refused one, and a dry run, write nothing.
-- Invariant: what is paused says who, when and why; limits that were set hold for all that is handed out from then on. Lock order: the
-- queue's row, then its claims (chapter 45).

create or replace function app.set_pause(queue_name text, partition_key text, pause boolean, actor text, reason text, dry_run boolean)
returns jsonb
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  t timestamptz;
  is_dry boolean := coalesce(set_pause.dry_run, false);
  queue app.queues;
  part app.partitions;
  whole boolean := set_pause.partition_key is null;
  what text;
  call text;
begin
  queue := app.find_queue(set_pause.queue_name);
  t := app.now();   -- behind the lock: whoever sets limits holds it until the claims under way are over
  if whole then
    part := row(queue.queue_name, '', 1, null, queue.paused_at, queue.paused_by, queue.pause_reason, null)::app.partitions;
    what := format('queue %s', queue.queue_name);
    call := format('unpause_queue(%L', queue.queue_name);
  else
    select p.* into part from app.partitions as p where p.queue_name = queue.queue_name and p.partition_key = set_pause.partition_key;
    what := format('partition %s of queue %s', set_pause.partition_key, queue.queue_name);
    call := format('unpause_partition(%L, %L', queue.queue_name, set_pause.partition_key);
  end if;
  if set_pause.pause and part.paused_at is not null then
    perform app.fail('PT409', case when whole then 'queue_paused' else 'partition_paused' end, format('%s is paused already, by %s: %s', what, part.paused_by, part.pause_reason),
      jsonb_build_object('status', 'paused'), format('select app.%s, actor => ''me'', reason => ''…'')', call));
  elsif not set_pause.pause and part.paused_at is null then
    perform app.fail('PT409', case when whole then 'queue_not_paused' else 'partition_not_paused' end, format('%s is not paused', what), jsonb_build_object('status', 'served'),
      format('select * from app.%s', case when whole then 'v_ops_queue_depth' else 'v_ops_queue_fairness' end));
  end if;
  if not is_dry then
    perform app.audit(concat_ws('/', 'queue', queue.queue_name, set_pause.partition_key), case when pause then 'pause' else 'unpause' end, set_pause.actor, set_pause.reason, t,
      case when pause then '{}' else jsonb_build_object('pausedAt', app.epoch_ms(part.paused_at), 'pausedBy', part.paused_by, 'pauseReason', part.pause_reason) end);
    part.paused_at := case when pause then t end;
    part.paused_by := case when pause then set_pause.actor end;
    part.pause_reason := case when pause then set_pause.reason end;
    if whole then
      update app.queues as q set paused_at = part.paused_at, paused_by = part.paused_by, pause_reason = part.pause_reason where q.queue_name = queue.queue_name;
    else
      part.queue_name := queue.queue_name;
      part.partition_key := set_pause.partition_key;
      perform app.keep_partition(part);
    end if;
    if not pause then
      perform app.wake_runners(array[queue.queue_name]);
    end if;
  end if;
  return jsonb_build_object('accepted', true, 'queueName', queue.queue_name)
    || case when whole then '{}' else jsonb_build_object('partition', set_pause.partition_key) end
    || jsonb_build_object('paused', part.paused_at is not null, 'pausedAt', app.epoch_ms(part.paused_at), 'dryRun', is_dry);
end
$$;
comment on function app.set_pause(text, text, boolean, text, text, boolean) is 'What the pauses of queues and partitions have in common; a partition of null is the whole queue.';

create or replace function app.keep_partition(part app.partitions)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if coalesce(part.weight, 1) = 1 and part.max_running is null and part.paused_at is null then
    delete from app.partitions as p where p.queue_name = part.queue_name and p.partition_key = part.partition_key;
    return;
  end if;
  insert into app.partitions as p (queue_name, partition_key, weight, max_running, paused_at, paused_by, pause_reason, limits_at)
  values (part.queue_name, part.partition_key, coalesce(part.weight, 1), part.max_running, part.paused_at, part.paused_by, part.pause_reason,
    coalesce(part.limits_at, clock_timestamp()))
  on conflict on constraint partitions_pkey do update set weight = excluded.weight, max_running = excluded.max_running, paused_at = excluded.paused_at,
    paused_by = excluded.paused_by, pause_reason = excluded.pause_reason, limits_at = excluded.limits_at;
end
$$;
comment on function app.keep_partition(app.partitions) is 'Writes the row of a partition, or deletes it when the partition is like any other.';

create or replace function app.find_queue(queue_name text)
returns app.queues
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  queue app.queues;
begin
  select q.* into queue from app.queues as q where q.queue_name = find_queue.queue_name for no key update;
  if not found then
    perform app.fail('PT404', 'queue_not_found', format('no queue %s', find_queue.queue_name), null, 'select * from app.v_ops_queue_depth');
  end if;
  return queue;
end
$$;
comment on function app.find_queue(text) is 'The row of a queue, locked. PT404.';

create or replace function app.pause_queue(queue_name text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('pause_queue', jsonb_build_object('queue_name', pause_queue.queue_name, 'actor', pause_queue.actor, 'reason', pause_queue.reason));
  return app.set_pause(pause_queue.queue_name, null, true, pause_queue.actor, pause_queue.reason, pause_queue.dry_run);
end
$$;
comment on function app.pause_queue(text, text, text, boolean) is
  'Pauses a queue: no step of it is handed out any more; one under way ends, and the next waits in line. Returns {accepted, queueName, paused, pausedAt, dryRun}. PT404 queue_not_found, PT409 queue_paused.';

create or replace function app.unpause_queue(queue_name text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('pause_queue', jsonb_build_object('queue_name', unpause_queue.queue_name, 'actor', unpause_queue.actor, 'reason', unpause_queue.reason));
  return app.set_pause(unpause_queue.queue_name, null, false, unpause_queue.actor, unpause_queue.reason, unpause_queue.dry_run);
end
$$;
comment on function app.unpause_queue(text, text, text, boolean) is
  'Lets a paused queue be served again and wakes its runners. Returns {accepted, queueName, paused, pausedAt, dryRun}. PT404 queue_not_found, PT409 queue_not_paused.';

create or replace function app.pause_partition(queue_name text, partition_key text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('pause_partition', jsonb_build_object('queue_name', pause_partition.queue_name, 'partition_key', pause_partition.partition_key,
    'actor', pause_partition.actor, 'reason', pause_partition.reason));
  return app.set_pause(pause_partition.queue_name, pause_partition.partition_key, true, pause_partition.actor, pause_partition.reason, pause_partition.dry_run);
end
$$;
comment on function app.pause_partition(text, text, text, text, boolean) is
  'Pauses one partition of a queue: no step of it is handed out any more; one under way ends, and the next waits in line. The others go on. Returns {accepted, queueName, partition, paused, pausedAt, dryRun}. PT404 queue_not_found, PT409 partition_paused.';

create or replace function app.unpause_partition(queue_name text, partition_key text, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('pause_partition', jsonb_build_object('queue_name', unpause_partition.queue_name, 'partition_key', unpause_partition.partition_key,
    'actor', unpause_partition.actor, 'reason', unpause_partition.reason));
  return app.set_pause(unpause_partition.queue_name, unpause_partition.partition_key, false, unpause_partition.actor, unpause_partition.reason, unpause_partition.dry_run);
end
$$;
comment on function app.unpause_partition(text, text, text, text, boolean) is
  'Lets a paused partition be served again and wakes the runners. Returns {accepted, queueName, partition, paused, pausedAt, dryRun}. PT404 queue_not_found, PT409 partition_not_paused.';

create or replace function app.limits_of(rules app.queues)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('maxRunning', rules.max_running, 'maxRunningPerPartition', rules.max_running_per_partition, 'maxRunningPerWorker', rules.max_running_per_worker,
    'rate', case when rules.rate_limit is not null then jsonb_build_object('limit', rules.rate_limit, 'seconds', rules.rate_seconds) end,
    'ratePerPartition', case when rules.rate_limit_per_partition is not null
      then jsonb_build_object('limit', rules.rate_limit_per_partition, 'seconds', rules.rate_seconds_per_partition) end,
    'ageingSeconds', rules.ageing_seconds);
$$;
comment on function app.limits_of(app.queues) is 'The limits of a queue as app.set_limits takes them; null: none.';

create or replace function app.set_limits(queue_name text, limits jsonb, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  is_dry boolean := coalesce(set_limits.dry_run, false);
  queue app.queues;
  given jsonb;
begin
  perform app.check_input('set_limits', jsonb_build_object('queue_name', set_limits.queue_name, 'limits', set_limits.limits, 'actor', set_limits.actor, 'reason', set_limits.reason));
  perform app.refuse('set_limits', (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path), '[]')
    from (
      select 'limits.' || f.path as path, f.message from app.faults('limits', jsonb_build_array(set_limits.limits), 'limits') as f
      union all
      select concat_ws('.', 'limits', r.key, nullif(f.path, r.key)), f.message
      from jsonb_each(set_limits.limits) as r cross join lateral app.faults('rate', jsonb_build_array(r.value), r.key) as f
      where r.key in ('rate', 'ratePerPartition') and jsonb_typeof(r.value) = 'object') as f));
  queue := app.find_queue(set_limits.queue_name);
  given := app.limits_of(queue) || set_limits.limits;
  if not is_dry then
    perform app.lock_queue(queue.queue_name, true);
    perform app.audit('queue/' || queue.queue_name, 'limits', set_limits.actor, set_limits.reason, app.now(), jsonb_build_object('before', app.limits_of(queue), 'limits', given));
    update app.queues as q set max_running = (given ->> 'maxRunning')::integer, max_running_per_partition = (given ->> 'maxRunningPerPartition')::integer,
      max_running_per_worker = (given ->> 'maxRunningPerWorker')::integer, rate_limit = (given #>> '{rate,limit}')::integer, rate_seconds = (given #>> '{rate,seconds}')::integer,
      rate_limit_per_partition = (given #>> '{ratePerPartition,limit}')::integer, rate_seconds_per_partition = (given #>> '{ratePerPartition,seconds}')::integer,
      ageing_seconds = (given ->> 'ageingSeconds')::integer, limits_at = clock_timestamp()
    where q.queue_name = queue.queue_name;
    perform app.wake_runners(array[queue.queue_name]);
  end if;
  return jsonb_build_object('accepted', true, 'queueName', queue.queue_name, 'limits', given, 'dryRun', is_dry);
end
$$;
comment on function app.set_limits(text, jsonb, text, text, boolean) is
  'Sets limits of a queue {maxRunning, maxRunningPerPartition, maxRunningPerWorker, rate {limit, seconds}, ratePerPartition {limit, seconds}, ageingSeconds}: null takes one away, one that is left out stays. What runs already goes on. Waits for the claims of the queue under way. Returns {accepted, queueName, limits, dryRun}. PT404 queue_not_found.';

create or replace function app.set_partition(queue_name text, partition_key text, options jsonb, actor text, reason text, dry_run boolean default false)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  is_dry boolean := coalesce(set_partition.dry_run, false);
  queue app.queues;
  part app.partitions;
  before jsonb;
  given jsonb;
begin
  perform app.check_input('set_partition', jsonb_build_object('queue_name', set_partition.queue_name, 'partition_key', set_partition.partition_key,
    'options', set_partition.options, 'actor', set_partition.actor, 'reason', set_partition.reason));
  perform app.refuse('set_partition', (
    select coalesce(jsonb_agg(jsonb_build_object('path', 'options.' || f.path, 'message', f.message) order by f.path), '[]')
    from app.faults('partition_options', jsonb_build_array(set_partition.options), 'options') as f));
  queue := app.find_queue(set_partition.queue_name);
  select p.* into part from app.partitions as p where p.queue_name = queue.queue_name and p.partition_key = set_partition.partition_key;
  before := jsonb_build_object('weight', coalesce(part.weight, 1), 'maxRunning', part.max_running);
  given := before || set_partition.options;
  if not is_dry then
    perform app.lock_queue(queue.queue_name, true);
    perform app.audit(concat_ws('/', 'queue', queue.queue_name, set_partition.partition_key), 'partition', set_partition.actor, set_partition.reason, app.now(),
      given || jsonb_build_object('before', before));
    perform app.keep_partition(row(queue.queue_name, set_partition.partition_key, coalesce((given ->> 'weight')::integer, 1), (given ->> 'maxRunning')::integer,
      part.paused_at, part.paused_by, part.pause_reason, clock_timestamp())::app.partitions);
    if part.max_running is not null and given ->> 'maxRunning' is null then
      -- its row may be gone: from now on the limit of the queue holds for it
      update app.queues as q set limits_at = clock_timestamp() where q.queue_name = queue.queue_name;
    end if;
    perform app.wake_runners(array[queue.queue_name]);
  end if;
  return jsonb_build_object('accepted', true, 'queueName', queue.queue_name, 'partition', set_partition.partition_key, 'weight', coalesce((given ->> 'weight')::integer, 1),
    'maxRunning', (given ->> 'maxRunning')::integer, 'dryRun', is_dry);
end
$$;
comment on function app.set_partition(text, text, jsonb, text, text, boolean) is
  'Sets how one partition of a queue is treated {weight (1 to 100: its share beside the others), maxRunning (instead of maxRunningPerPartition)}: null takes it back, what is left out stays. Returns {accepted, queueName, partition, weight, maxRunning, dryRun}. PT404 queue_not_found.';

create or replace function app.recover()
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform from app.work('app.recover', '[]', '{"recover": true}');
  return jsonb_build_object(
    'expiredLeases', (select count(*) from app.leases() as l where l.expires_at < clock_timestamp()),
    'dueTimers', (
      select count(*) from (select from app.timers as m where m.fired_at is null and m.closed_at is null and m.fire_at <= app.now() limit 1000) as m),
    'dueSchedules', (select count(*) from app.schedules as s where s.next_at <= app.now()));
end
$$;
comment on function app.recover() is
  'By hand what runners do for one another: takes over expired leases and fires due timers and schedules, up to 100 per queue, 100 timers and 20 schedules. Returns what is left {expiredLeases, dueTimers, dueSchedules}: call again while there is any. Steps go in line; a worker is needed to go on.';
