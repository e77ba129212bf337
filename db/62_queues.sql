-- Queues on duty: stop handing out work, and go on.
--
--   app.pause_queue(queue_name, actor, reason, dry_run)        nothing of it is handed out any more; a step under way ends, the next waits
--   app.unpause_queue(queue_name, actor, reason, dry_run)      it is served again, at once
--   app.recover()                                              by hand what a runner does for the others: expired leases, due timers
--
-- The first two return {accepted, queueName, paused, pausedAt, dryRun}. Every accepted call appends one OPS artifact under queue/<name>
-- (app.list_artifacts has them); a refused one, and a dry run, write nothing.
-- Invariant: a paused queue says who, when and why. Lock order: the queue's row alone.

create or replace function app.set_pause(queue_name text, pause boolean, actor text, reason text, dry_run boolean)
returns jsonb
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  is_dry boolean := coalesce(set_pause.dry_run, false);
  queue app.queues;
begin
  perform app.check_input('pause_queue', jsonb_build_object('queue_name', set_pause.queue_name, 'actor', set_pause.actor, 'reason', set_pause.reason));
  queue := app.find_queue(set_pause.queue_name);
  if set_pause.pause and queue.paused_at is not null then
    perform app.fail('PT409', 'queue_paused', format('queue %s is paused already, by %s: %s', queue.queue_name, queue.paused_by, queue.pause_reason),
      jsonb_build_object('status', 'paused'), format('select app.unpause_queue(%L, actor => ''me'', reason => ''…'')', queue.queue_name));
  elsif not set_pause.pause and queue.paused_at is null then
    perform app.fail('PT409', 'queue_not_paused', format('queue %s is not paused', queue.queue_name), jsonb_build_object('status', 'served'),
      'select * from app.v_ops_queue_depth');
  end if;
  if not is_dry then
    perform app.audit('queue/' || queue.queue_name, case when pause then 'pause' else 'unpause' end, set_pause.actor, set_pause.reason, t,
      case when pause then '{}' else jsonb_build_object('pausedAt', app.epoch_ms(queue.paused_at), 'pausedBy', queue.paused_by, 'pauseReason', queue.pause_reason) end);
    update app.queues as q set paused_at = case when pause then t end, paused_by = case when pause then set_pause.actor end,
      pause_reason = case when pause then set_pause.reason end
    where q.queue_name = queue.queue_name returning q.* into queue;
    if not pause then
      perform app.wake_runners(array[queue.queue_name]);
    end if;
  end if;
  return jsonb_build_object('accepted', true, 'queueName', queue.queue_name, 'paused', queue.paused_at is not null,
    'pausedAt', app.epoch_ms(queue.paused_at), 'dryRun', is_dry);
end
$$;
comment on function app.set_pause(text, boolean, text, text, boolean) is 'What pause_queue and unpause_queue have in common.';

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
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.set_pause(queue_name, true, actor, reason, dry_run);
$$;
comment on function app.pause_queue(text, text, text, boolean) is
  'Pauses a queue: no step of it is handed out any more; one under way ends, and the next waits in line. Returns {accepted, queueName, paused, pausedAt, dryRun}. PT404 queue_not_found, PT409 queue_paused.';

create or replace function app.unpause_queue(queue_name text, actor text, reason text, dry_run boolean default false)
returns jsonb
language sql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
  select app.set_pause(queue_name, false, actor, reason, dry_run);
$$;
comment on function app.unpause_queue(text, text, text, boolean) is
  'Lets a paused queue be served again and wakes its runners. Returns {accepted, queueName, paused, pausedAt, dryRun}. PT404 queue_not_found, PT409 queue_not_paused.';

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
