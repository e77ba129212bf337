-- Board: the pages that look at more than one run.
--
--   app.search_runs(filter) → {runs, nextCursor}      newest first: status, name, partition, text, olderThanMS, newerThanMS, limit, cursor
--   app.page_ops() → jsonb                            workers, open gates by deadline, failures, schedules, what else needs a human, how many runs
--   app.page_queues(queue) → jsonb                    queues, the partitions that wait longest, who paused and unpaused
--   app.page_recipes() → jsonb                        recipes with their versions
--   app.page_recipe(name, version) → jsonb            one version: its steps, gates, body, versions
--   app.page_charts() → jsonb                         the last hour by the minute: ends, waits, step durations; and the slow steps
--
-- Invariant: reads never write; every list is cut, and every search looks at a bounded number of runs (see search_runs).

create or replace function app.search_runs(filter jsonb default '{}')
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  f jsonb := coalesce(search_runs.filter, '{}');
  n integer;
  words text;
  most integer;
  before timestamptz := timestamptz 'infinity';
  oldest timestamptz := timestamptz '-infinity';
  after_id text := '';
  ids text[];
  looked_at integer;
  cursor_at text;
begin
  perform app.check_input('search_runs', f, 'filter');
  n := coalesce((f ->> 'limit')::integer, 50);
  words := lower(nullif(btrim(f ->> 'text'), ''));
  -- at most so many runs are looked at: a search that finds nothing ends, and its cursor goes on from there
  most := case when num_nonnulls(words, f ->> 'partition', f ->> 'name') > 0 then greatest(n, 2000) else n end;
  if f ->> 'olderThanMS' is not null then
    before := app.now() - (f ->> 'olderThanMS')::bigint * interval '1 ms';
  end if;
  if f ->> 'newerThanMS' is not null then
    oldest := app.now() - (f ->> 'newerThanMS')::bigint * interval '1 ms';
  end if;
  if f ->> 'cursor' is not null then
    if f ->> 'cursor' !~ '^[0-9]{1,18}\..+$' then
      perform app.refuse('search_runs', '[{"path": "cursor", "message": "is not a cursor that search_runs returned"}]');
    end if;
    before := timestamptz 'epoch' + split_part(f ->> 'cursor', '.', 1)::bigint * interval '1 microsecond';
    after_id := substring(f ->> 'cursor' from position('.' in f ->> 'cursor') + 1);
  end if;
  with candidate as (
    select p.* from unnest(array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']) as st (status)
      cross join lateral (
        select r.run_id, r.created_at, r.recipe_id, r.intent_id, r.partition_key from app.runs as r
        where r.status = st.status and r.created_at <= before and r.created_at >= oldest and (r.created_at < before or r.run_id > after_id)
        order by r.created_at desc, r.run_id limit most) as p
    where f ->> 'status' is null or st.status = f ->> 'status'
    order by p.created_at desc, p.run_id limit most
  ), hit as (
    select c.run_id, c.created_at, row_number() over (order by c.created_at desc, c.run_id) as place
    from candidate as c
    where (f ->> 'name' is null or c.recipe_id in (select p.recipe_id from app.recipes as p where p.name = f ->> 'name'))
      and (f ->> 'partition' is null or c.partition_key = f ->> 'partition')
      and (words is null or starts_with(lower(c.run_id), words)
        or exists (select from app.intents as i where i.intent_id = c.intent_id and position(words in lower(i.body ->> 'goal')) > 0))
    order by c.created_at desc, c.run_id limit n
  )
  select (select array_agg(hit.run_id order by hit.place) from hit), (select count(*) from candidate),
    (select format('%s.%s', (extract(epoch from l.created_at) * 1000000)::bigint, l.run_id)
     from (
       select h.created_at, h.run_id, 0 as rank from hit as h where h.place = n
       union all
       (select c.created_at, c.run_id, 1 from candidate as c order by c.created_at, c.run_id desc limit 1)
       order by rank limit 1) as l)
  into ids, looked_at, cursor_at;
  return jsonb_build_object('nextCursor', case when looked_at = most or cardinality(ids) = n then cursor_at end, 'runs', (
    select coalesce(jsonb_agg(h.header || jsonb_build_object('goal', left(i.body ->> 'goal', 300), 'endedAt', app.epoch_ms(r.ended_at)) order by o.ordinality), '[]')
    from unnest(ids) with ordinality as o (run_id, ordinality)
      join app.run_headers(ids) as h using (run_id) join app.runs as r using (run_id) join app.intents as i on i.intent_id = r.intent_id));
end
$$;
comment on function app.search_runs(jsonb) is
  'Run headers with goal and endedAt, newest first: {runs, nextCursor}. filter: status, name, partition, text (in the goal, or how the id begins), olderThanMS, newerThanMS, limit, cursor. One call looks at no more than 2000 runs of a status; nextCursor goes on from there.';

create or replace function app.board_runs()
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
as $$
  select jsonb_object_agg(st.status, c.n)
  from unnest(array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']) as st (status)
    -- in order, and so from the index: where a status is rare, or all runs are new, a plan without it reads them all
    cross join lateral (select count(*) as n from (select from app.runs as r where r.status = st.status order by r.created_at desc limit 1000) as r) as c;
$$;
comment on function app.board_runs() is 'How many runs of each status there are; 1000 means so many or more.';

create or replace function app.board_gates()
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('workflowID', g.run_id, 'gateKey', g.gate_key, 'kind', g.kind, 'title', g.title, 'beforeStep', c.step_id,
    'openedAt', app.epoch_ms(g.opened_at), 'expiresAt', app.epoch_ms(g.expires_at), 'partition', nullif(r.partition_key, ''), 'missing', g.quorum - app.counted(g::app.gates, g.shown_sha256),
    'goal', left(i.body ->> 'goal', 200)) order by g.expires_at nulls last, g.opened_at), '[]')
  from (
    select o.* from (select o.* from app.gates as o where o.status = 'OPEN' order by o.opened_at limit 200) as o
    order by o.expires_at nulls last, o.opened_at limit 30) as g
    join app.runs as r on r.run_id = g.run_id join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = g.idx join app.intents as i on i.intent_id = r.intent_id;
$$;
comment on function app.board_gates() is '30 of the 200 gates that are open longest, by deadline.';

create or replace function app.page_ops()
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return jsonb_build_object('now', app.epoch_ms(app.now()), 'runs', app.board_runs(), 'gates', app.board_gates(),
    'workers', (
      select coalesce(jsonb_agg(jsonb_build_object('worker', w.worker, 'alive', w.alive, 'appVersion', w.app_version, 'queues', w.queues, 'slots', w.concurrency,
        'leases', w.leases, 'lastSeenAt', app.epoch_ms(w.last_seen_at), 'stoppedAt', app.epoch_ms(w.stopped_at)) order by w.alive desc, w.last_seen_at desc), '[]')
      from (
        select v.* from app.v_ops_workers as v where v.last_seen_at > clock_timestamp() - interval '1 hour' order by v.alive desc, v.last_seen_at desc limit 20) as w),
    'failures', (
      select coalesce(jsonb_agg(jsonb_build_object('workflowID', f.run_id, 'recipe', f.recipe, 'stepID', f.step_id, 'code', f.error_code,
        'message', left(f.error_message, 300), 'attempts', f.attempts, 'endedAt', app.epoch_ms(f.ended_at), 'status', f.status) order by f.ended_at desc), '[]')
      from (select v.* from app.v_ops_failures_24h as v limit 20) as f),
    'schedules', (
      select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'cron', s.cron, 'timezone', s.timezone, 'recipe', s.recipe, 'health', s.health,
        'nextAt', app.epoch_ms(s.next_at), 'lastTickAt', app.epoch_ms(s.last_tick_at), 'lastOutcome', s.last_outcome, 'lastRunID', s.last_run_id,
        'lastRunStatus', s.last_run_status, 'lastError', s.last_error) order by s.health = 'ok', s.next_at, s.name), '[]')
      from (select v.* from app.v_schedules as v order by v.next_at, v.name limit 30) as s),
    'attention', (
      select coalesce(jsonb_agg(jsonb_build_object('kind', x.kind, 'workflowID', x.run_id, 'queueName', x.queue_name, 'since', app.epoch_ms(x.since),
        'reason', x.reason, 'call', x.call)), '[]')
      from (select v.* from app.v_ops_inbox as v where v.kind not in ('gate', 'failed') limit 20) as x));
end
$$;
comment on function app.page_ops() is 'The ops board but for its list of runs and its queues: workers of the last hour, open gates by deadline, failures of 24 hours, schedules, what else needs a human, runs by status. Every list is cut.';

create or replace function app.page_queues(queue text default null)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  parts jsonb;
begin
  perform app.check_input('page_queues', jsonb_build_object('queue', page_queues.queue));
  select coalesce(jsonb_agg(jsonb_build_object('queueName', f.queue_name, 'partition', nullif(f.partition_key, ''), 'weight', f.weight, 'waiting', f.waiting,
    'running', f.running, 'maxRunning', f.max_running, 'rateLeft', f.rate_left, 'oldestAgeS', f.oldest_age_s, 'servedShare', f.served_share,
    'pausedAt', app.epoch_ms(f.paused_at), 'pausedBy', f.paused_by, 'pauseReason', f.pause_reason)
    order by f.oldest_enqueued_at nulls last, f.running desc, f.queue_name, f.partition_key), '[]')
  into parts
  from (
    select v.* from app.v_ops_queue_fairness as v
    where (page_queues.queue is null or v.queue_name = page_queues.queue) and (v.waiting > 0 or v.running > 0 or v.paused_at is not null)
    order by v.oldest_enqueued_at nulls last, v.running desc, v.queue_name, v.partition_key limit 20) as f;
  return jsonb_build_object(
    'queues', (
      select coalesce(jsonb_agg(jsonb_build_object('queueName', d.queue_name, 'partitions', d.partitions, 'enqueued', d.enqueued, 'pending', d.pending, 'expired', d.expired,
        'maxRunning', q.max_running, 'oldestAgeS', d.oldest_age_s, 'drainS', d.drain_s, 'isEstimated', d.is_estimated,
        'pausedAt', app.epoch_ms(q.paused_at), 'pausedBy', q.paused_by, 'pauseReason', q.pause_reason) order by q.queue_name), '[]')
      from (
        select v.queue_name, count(*) filter (where v.enqueued + v.pending > 0) as partitions, sum(v.enqueued) as enqueued, sum(v.pending) as pending, sum(v.expired) as expired,
          max(v.oldest_age_s) as oldest_age_s, max(v.drain_s) as drain_s, bool_or(v.is_estimated) as is_estimated
        from app.v_ops_queue_depth as v group by v.queue_name) as d join app.queues as q using (queue_name)),
    'partitions', parts,
    'audit', (
      select coalesce(jsonb_agg(jsonb_build_object('artifactId', a.artifact_id, 'queueName', a.queue_name, 'partition', a.partition_key, 'inline', a.inline, 'at', app.epoch_ms(a.created_at))
        order by a.artifact_id desc), '[]')
      from (
        select a.*, t.queue_name, t.partition_key
        from (
            select q.queue_name, null from app.queues as q
            union all select x.value ->> 'queueName', coalesce(x.value ->> 'partition', '') from jsonb_array_elements(parts) as x) as t (queue_name, partition_key)
          cross join lateral (
            select o.artifact_id, o.inline, o.created_at from app.artifacts as o
            where o.run_id = concat_ws('/', 'queue', t.queue_name, t.partition_key) and o.step_idx is null order by o.artifact_id desc limit 5) as a
        order by a.artifact_id desc limit 5) as a));
end
$$;
comment on function app.page_queues(text) is
  'Queues in numbers; the 20 partitions (of one queue, or of all) that wait longest, or else have work under way or are paused; and the newest 5 things that somebody did to a queue or to one of those partitions.';

create or replace function app.page_recipes()
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'version', p.version, 'status', p.status, 'queueName', p.queue_name, 'steps', p.steps,
      'description', p.description, 'createdAt', app.epoch_ms(p.created_at), 'activatedAt', app.epoch_ms(p.activated_at), 'isChain', p.is_chain,
      'versions', p.versions) order by p.name), '[]')
    from (
      select distinct on (v.name) v.*, r.is_chain, count(*) over (partition by v.name) as versions
      from app.v_recipes as v join app.recipes as r on r.name = v.name and r.version = v.version
      order by v.name, v.status = 'active' desc, v.version desc) as p);
end
$$;
comment on function app.page_recipes() is 'Recipes, each with its active version (or else the newest) and how many versions it has.';

create or replace function app.page_recipe(name text, version integer default null)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  told jsonb;
begin
  perform app.check_input('page_recipe', jsonb_build_object('name', page_recipe.name, 'version', page_recipe.version));
  select jsonb_build_object('name', p.name, 'version', p.version, 'status', p.status, 'queueName', p.queue_name, 'body', p.body, 'inputSchema', p.body -> 'inputSchema',
      'sha256', p.body_sha256, 'isChain', p.is_chain, 'createdAt', app.epoch_ms(p.created_at), 'activatedAt', app.epoch_ms(p.activated_at),
      'partitioned', (select q.partitioned from app.queues as q where q.queue_name = p.queue_name), 'steps', (
        select coalesce(jsonb_agg(jsonb_build_object('idx', c.idx, 'stepID', c.step_id, 'handler', c.handler, 'queueName', c.queue_name, 'maxAttempts', c.max_attempts,
          'timeoutMS', c.timeout_ms, 'needs', c.needs, 'condition', c.condition, 'sleepMS', c.sleep_ms, 'sleepInput', c.sleep_input, 'fanOver', c.fan_over,
          'fanQueue', c.fan_queue, 'fanHandler', c.fan_handler, 'fanMaxTasks', c.fan_max_tasks, 'gates', (
            select coalesce(jsonb_agg(jsonb_build_object('gateKey', g.gate_key, 'kind', g.kind, 'title', g.title, 'ttlMS', g.ttl_ms, 'onExpiry', g.on_expiry,
              'quorum', g.quorum, 'shows', g.shows) order by g.position), '[]')
            from app.recipe_gates as g where g.recipe_id = c.recipe_id and g.idx = c.idx)) order by c.idx), '[]')
        from app.recipe_steps as c where c.recipe_id = p.recipe_id), 'versions', (
        select jsonb_agg(jsonb_build_object('version', v.version, 'status', v.status, 'createdAt', app.epoch_ms(v.created_at)) order by v.version desc)
        from (select o.* from app.recipes as o where o.name = p.name order by o.version desc limit 50) as v))
  into told
  from app.recipes as p where p.name = page_recipe.name and case when page_recipe.version is null then true else p.version = page_recipe.version end
  order by p.status = 'active' desc, p.version desc limit 1;
  if told is null then
    perform app.fail('PT404', 'recipe_not_found', format('no recipe %s%s', page_recipe.name, coalesce(' version ' || page_recipe.version, '')), null,
      'select * from app.v_recipes');
  end if;
  return told;
end
$$;
comment on function app.page_recipe(text, integer) is 'A version of a recipe, the active one (or else the newest) without a version: steps, gates, body, and the versions there are. PT404.';

create or replace function app.recent_work()
returns table (minute integer, what text, n bigint, p50_ms bigint, p95_ms bigint)
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  with now as materialized (
    select app.now() as t
  ), run as materialized (
    select p.* from unnest(array['PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']) as st (status)
      cross join lateral (select r.run_id, r.status, r.created_at, r.started_at, r.ended_at from app.runs as r where r.status = st.status order by r.created_at desc limit 1000) as p
    -- what was over before has nothing to tell of this hour
    where p.ended_at is null or p.ended_at > (select now.t from now) - interval '1 hour'
  ), point (at, what, ms) as (
    select run.ended_at, case run.status when 'SUCCESS' then 'succeeded' when 'CANCELLED' then 'cancelled' else 'failed' end, null::numeric from run where run.ended_at is not null
    union all
    select run.started_at, 'wait', extract(epoch from run.started_at - run.created_at) * 1000 from run where run.started_at is not null
    union all
    select s.ended_at, 'step', extract(epoch from s.ended_at - s.started_at) * 1000
    from run cross join lateral (
      select a.started_at, a.ended_at from app.run_steps as a
      where a.run_id = run.run_id and a.started_at is not null and a.ended_at is not null and a.cached_from is null and not a.skipped limit 50) as s
  )
  select 59 - floor(extract(epoch from now.t - point.at) / 60)::integer, point.what, count(*),
    round(percentile_cont(0.5) within group (order by point.ms))::bigint, round(percentile_cont(0.95) within group (order by point.ms))::bigint
  from point cross join now where point.at > now.t - interval '1 hour' and point.at <= now.t group by 1, 2;
$$;
comment on function app.recent_work() is
  'The last hour by the minute (0 to 59, 59 is the current one): runs that succeeded, failed, were cancelled; how long runs waited for their first claim; how long attempts took. Over the newest 1000 runs of each status, 50 attempts of each.';

create or replace function app.page_charts()
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  return jsonb_build_object('now', app.epoch_ms(app.now()), 'points', (
      select coalesce(jsonb_agg(to_jsonb(w) order by w.minute), '[]') from app.recent_work() as w),
    'slow', (select coalesce(jsonb_agg(to_jsonb(s)), '[]') from (select v.* from app.v_ops_slow_steps as v limit 15) as s));
end
$$;
comment on function app.page_charts() is 'What the charts draw: points of app.recent_work, and the 15 slowest steps.';
