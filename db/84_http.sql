-- HTTP: what the shim and the admin port need besides the callers' verbs. They carry; the rules stay here.
--
--   app.arguments(shape, given, known, names) → jsonb      a JSON body as the arguments of a function
--   app.queue_depth() → jsonb                              v_ops_queue_depth in the field names of the contract
--   app.health() → jsonb                                   what this database is: revision, code, versions, modes, queues
--   app.gauges() → jsonb                                   the numbers of one scrape
--
-- Invariant: reads never write. A body is closed: what is not an argument is a fault, and every fault is listed.

create or replace function app.argument_key(name text)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case when name like '%\_%' then lower(left(name, 1)) || substr(replace(initcap(replace(name, '_', ' ')), ' ', ''), 2) else name end;
$$;
comment on function app.argument_key(text) is 'An argument as JSON spells it: approved_by is approvedBy.';

create or replace function app.arguments(shape text, given jsonb, known jsonb default '{}', names jsonb default '{}')
returns jsonb
language plpgsql
stable
parallel safe
security definer
set search_path = ''
as $$
declare
  item jsonb;
  faults jsonb;
begin
  if jsonb_typeof(arguments.given) is distinct from 'object' then
    perform app.refuse(arguments.shape, '[{"path": "", "message": "must be an object"}]');
  end if;
  select coalesce(jsonb_object_agg(a.path, arguments.given -> k.key) filter (where not arguments.known ? a.path and arguments.given ? k.key), '{}') || arguments.known
  into item
  from app.v_arguments as a cross join lateral (select coalesce(arguments.names ->> a.path, app.argument_key(a.path)) as key) as k
  where a.shape = arguments.shape;
  select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]') into faults
  from (
    select coalesce(arguments.names ->> f.path, app.argument_key(f.path)) as path, f.message
    from app.faults(arguments.shape, jsonb_build_array(item), 'body') as f
    union all
    select g.key, 'is unknown' from jsonb_object_keys(arguments.given) as g (key)
    where not exists (
      select from app.v_arguments as a
      where a.shape = arguments.shape and not arguments.known ? a.path and g.key = coalesce(arguments.names ->> a.path, app.argument_key(a.path)))) as f;
  perform app.refuse(arguments.shape, faults);
  return item;
end
$$;
comment on function app.arguments(text, jsonb, jsonb, jsonb) is
  'The arguments of a function from a JSON object given (camelCase, or as names says) and those the caller of it knows from elsewhere, which given may not hold. PT400 lists every fault under the name that was given.';

create or replace function app.queue_depth()
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('queueName', d.queue_name, 'queuePartitionKey', nullif(d.partition_key, ''), 'enqueued', d.enqueued,
      'pending', d.pending, 'expired', d.expired, 'oldestEnqueuedAt', app.epoch_ms(d.oldest_enqueued_at), 'oldestAgeS', d.oldest_age_s,
      'pausedAt', app.epoch_ms(d.paused_at), 'pausedBy', d.paused_by, 'pauseReason', d.pause_reason,
      'drainS', d.drain_s, 'isEstimated', d.is_estimated, 'limits', d.limits)
      order by d.queue_name, d.partition_key), '[]')
    from app.v_ops_queue_depth as d);
end
$$;
comment on function app.queue_depth() is 'app.v_ops_queue_depth as JSON: per queue and partition, what waits, what is under a lease, what has expired, and the age of the oldest, who paused the queue and why.';

create or replace function app.health()
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  revision text;
begin
  if to_regclass('app.alembic_version') is not null then
    select v.version_num into revision from app.alembic_version as v;
  end if;
  return jsonb_build_object('revision', revision, 'codeHash', app.setting('code_hash'), 'appVersion', app.setting('app_version'),
    'ocMode', app.setting('oc_mode'), 'sbxMode', app.setting('sbx_mode'), 'missingQueues', to_jsonb(app.missing_queues()),
    'partitioned', (select jsonb_object_agg(q.queue_name, q.partitioned) from app.queues as q));
end
$$;
comment on function app.health() is 'What this database is: revision and code hash of the schema, app version and modes that new runs get, queues without their pgmq queue, and which queues are partitioned.';

create or replace function app.gauges()
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'queues', (
      select coalesce(jsonb_agg(to_jsonb(d) order by d."queueName"), '[]')
      from (
        select v.queue_name as "queueName", sum(v.enqueued) as enqueued, sum(v.pending) as pending, sum(v.expired) as expired, max(v.oldest_age_s) as "oldestAgeS",
          bool_or(v.paused_at is not null) as paused
        from app.v_ops_queue_depth as v group by 1) as d),
    'workers', (
      select coalesce(jsonb_agg(to_jsonb(w) order by w."appVersion"), '[]')
      from (
        select a.app_version as "appVersion", count(*) filter (where app.is_alive(a)) as alive, sum(a.concurrency) filter (where app.is_alive(a)) as slots
        from app.workers as a group by 1) as w),
    'openGates', (select count(*) from app.gates as g where g.status = 'OPEN'),
    'overdueTimers', (select count(*) from app.timers as m where m.fired_at is null and m.closed_at is null and m.fire_at < app.now() - interval '5 seconds'));
end
$$;
comment on function app.gauges() is 'The numbers of one scrape: per queue what waits, is leased, has expired, and the oldest; live workers and slots per version; open gates; timers overdue by more than 5 s.';
