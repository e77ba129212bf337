-- Oracles: views that answer an operator. Columns are only ever appended.

create or replace view app.v_run_timeline as
select s.run_id, s.idx, s.step_id, s.task_key, s.attempt, s.status, s.worker, s.enqueued_at, s.started_at, s.ended_at,
  round(extract(epoch from s.started_at - s.enqueued_at) * 1000)::bigint as waited_ms,
  round(extract(epoch from coalesce(s.ended_at, case when s.status = 'PENDING' then app.now() end) - s.started_at) * 1000)::bigint as duration_ms,
  s.error ->> 'code' as error_code, s.error ->> 'message' as error_message, coalesce(a.n, 0) as artifacts
from app.run_steps as s
  left join (
    -- counted for the run at once: they are found by run, and a large fan-out would read them all for each task
    select a.run_id, a.step_idx as idx, a.task_key, a.attempt, count(*) as n from app.artifacts as a group by a.run_id, a.step_idx, a.task_key, a.attempt) as a
    using (run_id, idx, task_key, attempt)
union all
select g.run_id, g.idx, 'gate ' || g.gate_key, '', 1, g.status, null, null, g.opened_at, coalesce(g.answered_at, g.closed_at), null,
  round(extract(epoch from coalesce(g.answered_at, g.closed_at, app.now()) - g.opened_at) * 1000)::bigint, null, null, 0
from app.gates as g
where g.opened_at is not null;
comment on view app.v_run_timeline is 'What a run did: a row per attempt and per gate. Filter by run_id, order by idx, started_at. Durations in ms.';

create or replace view app.v_lines as
with recursive line (queue_name, app_version, partition_key, priority, n) as (
  -- a loose index scan: one probe per line, however long it is
  select q.queue_name, f.app_version, f.partition_key, f.priority, 1
  from app.queues as q cross join lateral (
    select s.app_version, s.partition_key, s.priority from app.run_steps as s
    where s.queue_name = q.queue_name and s.queue_seq is not null order by s.app_version, s.partition_key, s.priority limit 1) as f
  union all
  select line.queue_name, f.app_version, f.partition_key, f.priority, line.n + 1
  from line cross join lateral (
    select s.app_version, s.partition_key, s.priority from app.run_steps as s
    where s.queue_name = line.queue_name and s.queue_seq is not null
      and (s.app_version, s.partition_key, s.priority) > (line.app_version, line.partition_key, line.priority)
    order by s.app_version, s.partition_key, s.priority limit 1) as f
  where line.n < 2000
), sized as (
  select l.*, count(*) over (partition by l.queue_name) = 2000 as is_cut, greatest(40, least(10000, 30000 / count(*) over (partition by l.queue_name))) as cap
  from line as l
), sampled as (
  select s.*, greatest(2, least(8, s.cap / 100)) as stretches from sized as s
)
select l.queue_name, l.app_version, l.partition_key, l.priority, (c.n + coalesce(e.n, 0))::bigint as waiting, l.is_cut or c.n = l.cap as is_estimated, c.oldest_enqueued_at
from sampled as l
  cross join lateral (
    select count(*) as n, min(s.enqueued_at) as oldest_enqueued_at, max(s.queue_seq) as last_seq
    from (
      select s.enqueued_at, s.queue_seq from app.run_steps as s
      where s.queue_name = l.queue_name and s.app_version = l.app_version and s.partition_key = l.partition_key and s.priority = l.priority and s.queue_seq is not null
      order by s.queue_seq limit l.cap) as s) as c
  left join lateral (
    -- what is beyond, in up to eight stretches: each as dense as it is where it begins
    select sum(case when k.n < l.cap / l.stretches then k.n else k.n * (g.until_seq - g.from_seq)::numeric / (k.last_seq - g.from_seq) end) as n
    from (
        select s.queue_seq from app.run_steps as s
        where s.queue_name = l.queue_name and s.app_version = l.app_version and s.partition_key = l.partition_key and s.priority = l.priority and s.queue_seq is not null
        order by s.queue_seq desc limit 1) as last
      cross join generate_series(0, l.stretches - 1) as i
      cross join lateral (select c.last_seq + (last.queue_seq - c.last_seq) * i / l.stretches, c.last_seq + (last.queue_seq - c.last_seq) * (i + 1) / l.stretches) as g (from_seq, until_seq)
      cross join lateral (
        select count(*) as n, max(s.queue_seq) as last_seq
        from (
          select s.queue_seq from app.run_steps as s
          where s.queue_name = l.queue_name and s.app_version = l.app_version and s.partition_key = l.partition_key and s.priority = l.priority
            and s.queue_seq > g.from_seq and s.queue_seq <= g.until_seq
          order by s.queue_seq limit l.cap / l.stretches) as s) as k) as e on c.n = l.cap;
comment on view app.v_lines is
  'What waits, per queue, version, partition and priority: counted up to 10,000 steps of a line (fewer where a queue has more than three, never fewer than 40), and beyond that estimated from samples: is_estimated says so. The oldest is that of the part that was counted. The first 2000 lines of a queue.';

create or replace view app.v_ops_queue_depth as
with waiting as (
  select l.queue_name, l.partition_key, sum(l.waiting)::bigint as enqueued, min(l.oldest_enqueued_at) as oldest_enqueued_at, bool_or(l.is_estimated) as is_estimated
  from app.v_lines as l group by 1, 2
), leased as (
  select l.queue_name, l.partition_key, count(*) as pending, count(*) filter (where l.expires_at < clock_timestamp()) as expired
  from app.leases() as l group by 1, 2
), pace as (
  -- leases per second over the minute before the newest sample
  select q.queue_name, nullif(n.handed_out - o.handed_out, 0) / extract(epoch from n.at - greatest(o.at, n.at - interval '60 seconds')) as per_second
  from app.queues as q
    cross join lateral (select m.* from app.queue_samples as m where m.queue_name = q.queue_name order by m.at desc limit 1) as n
    cross join lateral (
      select m.* from app.queue_samples as m where m.queue_name = q.queue_name and m.at < n.at
      order by m.at > n.at - interval '60 seconds', case when m.at > n.at - interval '60 seconds' then m.at end, m.at desc limit 1) as o
  where n.at > clock_timestamp() - interval '60 seconds'
), depth as (
  select q.queue_name, coalesce(w.partition_key, l.partition_key, '') as partition_key, coalesce(w.enqueued, 0) as enqueued, coalesce(l.pending, 0) as pending,
    coalesce(l.expired, 0) as expired, w.oldest_enqueued_at, q.paused_at, q.paused_by, q.pause_reason, coalesce(w.is_estimated, false) as is_estimated,
    jsonb_strip_nulls(jsonb_build_object('maxRunning', q.max_running, 'maxRunningPerPartition', q.max_running_per_partition, 'maxRunningPerWorker', q.max_running_per_worker,
      'rate', jsonb_build_object('limit', q.rate_limit, 'seconds', q.rate_seconds),
      'ratePerPartition', jsonb_build_object('limit', q.rate_limit_per_partition, 'seconds', q.rate_seconds_per_partition), 'ageingSeconds', q.ageing_seconds)) as limits,
    sum(w.enqueued) over (partition by q.queue_name) as all_enqueued, count(w.enqueued) over (partition by q.queue_name) as lines
  from app.queues as q
    left join (waiting as w full join leased as l on l.queue_name = w.queue_name and l.partition_key = w.partition_key)
      on q.queue_name = coalesce(w.queue_name, l.queue_name)
)
select d.queue_name, d.partition_key, d.enqueued, d.pending, d.expired, d.oldest_enqueued_at,
  round(extract(epoch from app.now() - d.oldest_enqueued_at))::bigint as oldest_age_s, d.paused_at, d.paused_by, d.pause_reason,
  case when d.paused_at is null and d.enqueued > 0 and p.per_second > 0 then greatest(1, round(least(d.enqueued * d.lines, d.all_enqueued) / p.per_second))::bigint end as drain_s, d.is_estimated,
  d.limits - array(select k.key from jsonb_each(d.limits) as k where k.value = '{}') as limits
from depth as d left join pace as p using (queue_name);
comment on view app.v_ops_queue_depth is
  'Per queue and partition: steps in line, steps under a lease, expired leases, and the age of the oldest in seconds; paused_at, when nothing of the queue is claimed; drain_s, in how many seconds the line is empty when nothing comes and leases go on at the pace of the last minute (null when none were made, or it is paused); is_estimated, when the line is too long to be counted; limits of the queue, those that it has.';

create or replace view app.v_ops_queue_fairness as
with waiting as (
  select l.queue_name, l.partition_key, sum(l.waiting)::bigint as waiting, min(l.oldest_enqueued_at) as oldest_enqueued_at from app.v_lines as l group by 1, 2
), leased as (
  select l.queue_name, l.partition_key, count(*) as running from app.leases() as l group by 1, 2
), part as (
  select coalesce(w.queue_name, l.queue_name, p.queue_name) as queue_name, coalesce(w.partition_key, l.partition_key, p.partition_key) as partition_key,
    coalesce(w.waiting, 0) as waiting, coalesce(l.running, 0) as running, w.oldest_enqueued_at, p.weight, p.max_running, p.paused_at, p.paused_by, p.pause_reason
  from waiting as w full join leased as l using (queue_name, partition_key) full join app.partitions as p using (queue_name, partition_key)
), numbered as (
  select p.*, row_number() over (partition by p.queue_name order by p.partition_key) as n, sum(p.running) over (partition by p.queue_name) as all_running from part as p
), queue as (
  select q.*, q.rate_limit - (
      select coalesce(sum(k.tokens), 0) from app.rate_tokens as k where k.queue_name = q.queue_name and k.used_at > app.now() - q.rate_seconds * interval '1 second') as rate_left
  from app.queues as q
)
select p.queue_name, p.partition_key, coalesce(p.weight, 1) as weight, p.waiting, p.running, coalesce(p.max_running, q.max_running_per_partition) as max_running,
  case when num_nonnulls(q.rate_limit, q.rate_limit_per_partition) > 0 then greatest(0, least(q.rate_left, q.rate_limit_per_partition - (
    select coalesce(sum(k.tokens), 0) from app.rate_tokens as k
    where k.queue_name = p.queue_name and k.partition_key = p.partition_key and k.used_at > app.now() - q.rate_seconds_per_partition * interval '1 second'))) end::bigint as rate_left,
  p.oldest_enqueued_at, round(extract(epoch from app.now() - p.oldest_enqueued_at))::bigint as oldest_age_s,
  round(p.running / nullif(p.all_running, 0), 3) as served_share, p.paused_at, p.paused_by, p.pause_reason
from numbered as p join queue as q on q.queue_name = p.queue_name
where p.n <= 1000;
comment on view app.v_ops_queue_fairness is
  'Per queue and partition: weight, steps in line (estimated where the line is long) and under a lease, how many may be, how many more the rate limits let go now (null: no limit), the age of the oldest in seconds, the share of all that is under a lease, who paused the partition. The first 1000 partitions of a queue.';

create or replace view app.v_ops_workers as
select w.worker, app.is_alive(w) as alive, w.app_version, w.queues, w.concurrency, w.host, w.pid, w.started_at, w.last_seen_at, w.stopped_at,
  coalesce(h.leases, 0) as leases
from app.workers as w left join (
  -- all that are held, once; and a probe for each
  select s.worker, count(*) as leases
  from app.leases() as l
    cross join lateral (
      select p.worker from app.run_steps as p
      where p.run_id = l.run_id and p.task_key = l.task_key and p.status = 'PENDING' and p.queue_name = l.queue_name and p.msg_id = l.msg_id limit 1) as s
  group by s.worker) as h on h.worker = w.worker;
comment on view app.v_ops_workers is 'Workers, whether they are alive, and what they hold.';

create or replace function app.answer_with(gate app.gates)
returns text
language sql
stable
parallel safe
security definer
set search_path = ''
as $$
  -- who answers stands in the call once: each has keys of their own, and new ones in each round
  select case when gate.expires_at <= app.now() then 'select app.recover()'
    when gate.gate_key = 'approve-plan' then format('select app.approve_plan(%L, approved_by => ''me''%s)', gate.run_id, v.shown)
    else format('select app.reply_gate(%L, %L, payload => %L, dedupe_key => left(''%s/'' || o.me, 256), origin => o.me%s) from (values (''me'')) as o (me)',
      gate.run_id, gate.gate_key, case gate.kind when 'approval' then '{"decision": "yes"}' else '{}' end, gate.round, v.shown) end
  from (select case when gate.shown_sha256 is not null then format(', shown_sha256 => %L', gate.shown_sha256) else '' end) as v (shown);
$$;
comment on function app.answer_with(app.gates) is 'The call that answers an open gate (put your name for me), or that ends one whose time is over.';

create or replace view app.v_gates_open as
select g.run_id, g.gate_key, g.kind, g.title, c.step_id as before_step, g.opened_at, g.expires_at, r.partition_key, r.tenant_id, app.answer_with(g) as answer_with,
  g.shown_sha256, g.quorum - app.counted(g, g.shown_sha256) as missing
from app.gates as g join app.runs as r using (run_id) join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = g.idx
where g.status = 'OPEN';
comment on view app.v_gates_open is 'Gates that wait for a human, with the call that answers each (put your name for me), or that ends one whose time is over. missing: how many have to answer yet; before_step: for a gate of a handler, its own step.';

create or replace view app.v_state_machine as
select t.entity, t.from_status, t.to_status, t.action from app.run_transitions as t;
comment on view app.v_state_machine is 'The legal transitions of runs and step attempts; everything else is PT409.';

create or replace view app.v_recipes as
select p.name, p.version, p.status, p.queue_name, array(select c.step_id from app.recipe_steps as c where c.recipe_id = p.recipe_id order by c.idx) as steps,
  p.body ->> 'description' as description, p.created_at, p.activated_at
from app.recipes as p;
comment on view app.v_recipes is 'Recipe versions with the names of their steps; new runs take the active one.';

create or replace view app.v_ops_failures_24h as
select r.run_id, c.name as recipe, r.error ->> 'stepID' as step_id, r.error ->> 'code' as error_code, r.error ->> 'message' as error_message,
  (select count(*) from app.run_steps as s where s.run_id = r.run_id and s.task_key = '' and s.step_id = r.error ->> 'stepID') as attempts,
  r.ended_at, r.queue_name, r.partition_key, r.status, r.app_version, r.created_at
from app.runs as r join app.recipes as c on c.recipe_id = r.recipe_id
where r.status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') and r.ended_at > app.now() - interval '24 hours'
order by r.ended_at desc;
comment on view app.v_ops_failures_24h is 'Runs that failed in the last 24 hours and are failed still, newest first. step_id is null when no step failed: a gate, a timeout.';

create or replace view app.v_ops_slow_steps as
with run as materialized (
  select p.run_id, p.recipe_id
  from unnest(array['PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']) as st (status)
    cross join lateral (select r.run_id, r.recipe_id from app.runs as r where r.status = st.status order by r.created_at desc limit 500) as p
), attempt as (
  select run.recipe_id, s.*, extract(epoch from s.ended_at - s.started_at) * 1000 as took_ms, extract(epoch from s.started_at - s.enqueued_at) * 1000 as waited_ms
  from run cross join lateral (
    select a.idx, a.step_id, a.task_key, a.attempt, a.status, a.lost, a.enqueued_at, a.started_at, a.ended_at from app.run_steps as a
    where a.run_id = run.run_id and a.started_at is not null and a.ended_at is not null and a.cached_from is null and not a.skipped limit 200) as s
)
select p.name as recipe, a.step_id, case a.task_key when '' then 'step' else 'task' end as part, count(*) as attempts,
  round(percentile_cont(0.5) within group (order by a.took_ms))::bigint as p50_ms,
  round(percentile_cont(0.95) within group (order by a.took_ms))::bigint as p95_ms, round(max(a.took_ms))::bigint as max_ms,
  count(*) filter (where a.attempt > 1) as retries, count(*) filter (where a.lost) as lost, count(*) filter (where a.status = 'ERROR' and not a.lost) as failed,
  round(percentile_cont(0.95) within group (order by a.waited_ms))::bigint as waited_p95_ms
from attempt as a
  join app.recipes as p on p.recipe_id = a.recipe_id
  join app.recipe_steps as c on c.recipe_id = a.recipe_id and c.idx = a.idx and c.sleep_ms is null and c.sleep_input is null
group by 1, 2, 3
order by p95_ms desc, recipe, step_id;
comment on view app.v_ops_slow_steps is
  'How long steps and tasks take, slowest first, over the attempts of the newest 500 runs of each status (200 of each run): ms at work, further attempts, lost workers, failures, ms in line. What was skipped, reused or merely sleeps is left out.';

create or replace view app.v_ops_inbox as
with recursive line (queue_name, app_version) as (
  -- a loose index scan: one probe per queue and version, however long the backlog
  (select s.queue_name, s.app_version from app.run_steps as s where s.queue_seq is not null order by s.queue_name, s.app_version limit 1)
  union all
  select n.queue_name, n.app_version from line cross join lateral (
    select s.queue_name, s.app_version from app.run_steps as s
    where s.queue_seq is not null and (s.queue_name, s.app_version) > (line.queue_name, line.app_version)
    order by s.queue_name, s.app_version limit 1) as n
), unserved as (
  select line.queue_name, line.app_version, (
      select w.app_version from app.workers as w where line.queue_name = any (w.queues) and app.is_alive(w) order by w.started_at desc limit 1) as served_version
  from line join app.queues as q on q.queue_name = line.queue_name and q.paused_at is null
  where not exists (select from app.workers as w where w.app_version = line.app_version and line.queue_name = any (w.queues) and app.is_alive(w))
), stalled as (
  select distinct on (x.run_id) x.* from (
    select l.run_id, l.queue_name, l.expires_at as since,
      format('the lease of %s attempt %s has expired: worker %s gives no sign of life', s.step_id, s.attempt, s.worker) as reason, null as served_version
    from app.leases() as l
      join app.run_steps as s on s.run_id = l.run_id and s.task_key = l.task_key and s.status = 'PENDING' and s.queue_name = l.queue_name and s.msg_id = l.msg_id
    where l.expires_at < clock_timestamp()
    union all
    select w.run_id, u.queue_name, w.enqueued_at,
      format('no live worker of version %s serves %s: %s', u.app_version, u.queue_name, app.runner_command(u.app_version, u.queue_name)), coalesce(u.served_version, '')
    from unserved as u cross join lateral (
      select s.run_id, s.enqueued_at from app.run_steps as s
      where s.queue_name = u.queue_name and s.app_version = u.app_version and s.queue_seq is not null and s.enqueued_at <= app.now() - interval '15 seconds'
      order by s.partition_key, s.priority, s.queue_seq limit 500) as w) as x
  order by x.run_id, x.since
), item (urgency, kind, run_id, queue_name, since, reason, call, deadline) as (
  select 1, 'paused queue', null, q.queue_name, q.paused_at, format('paused by %s: %s', q.paused_by, q.pause_reason),
    format('select app.unpause_queue(%L, actor => ''me'', reason => ''…'')', q.queue_name), null::timestamptz
  from app.queues as q where q.paused_at is not null
  union all
  select 1, 'paused partition', null, p.queue_name, p.paused_at, format('partition %s paused by %s: %s', p.partition_key, p.paused_by, p.pause_reason),
    format('select app.unpause_partition(%L, %L, actor => ''me'', reason => ''…'')', p.queue_name, p.partition_key), null
  from (select * from app.partitions as p where p.paused_at is not null order by p.paused_at limit 1000) as p
  union all
  select 2, 'stalled', s.run_id, s.queue_name, s.since, s.reason, case
      when s.served_version is null then 'select app.recover()'
      when s.served_version = '' then 'select * from app.v_ops_workers'
      else format('select app.fork_run(%L, %s, actor => ''me'', reason => ''…'', app_version => %L), app.cancel_run(%1$L, actor => ''me'', reason => ''…'')',
        s.run_id, (
          select min(c.idx) from app.runs as r join app.recipe_steps as c on c.recipe_id = r.recipe_id
          where r.run_id = s.run_id and not exists (
            select from app.run_steps as d where d.run_id = s.run_id and d.idx = c.idx and d.task_key = '' and d.status = 'SUCCESS')), s.served_version) end, null
  from stalled as s
  union all
  select 2, 'overdue timer', m.run_id, null, m.fire_at, format('its %s timer was due and nobody fires timers: no worker is there', m.kind),
    'select app.recover()', null
  from (
    select m.run_id, m.kind, m.fire_at from app.timers as m
    where m.fired_at is null and m.closed_at is null and m.fire_at < app.now() - interval '60 seconds' order by m.fire_at limit 500) as m
  union all
  select 2, 'overdue schedule', null, null, coalesce(s.owed_until, s.next_at), format('a tick of the schedule %s is due and nobody fires it', s.name), 'select app.recover()', null
  from app.schedules as s where coalesce(s.owed_until, s.next_at) < app.now() - interval '60 seconds'
  union all
  select 5, 'refused schedule', null, null, s.last_tick_at, format('the schedule %s could not start its last tick: %s: %s', s.name, s.last_error ->> 'code', s.last_error ->> 'message'),
    format('select * from app.v_schedules where name = %L', s.name), null
  from app.schedules as s where s.last_error is not null and s.paused_at is null
  union all
  select 3, 'dead lane', r.run_id, null, r.ended_at, r.error ->> 'message', format('select app.resume_run(%L, actor => ''me'', reason => ''…'')', r.run_id), null
  from (
    select r.run_id, r.ended_at, r.error from app.runs as r where r.status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' order by r.created_at desc limit 500) as r
  union all
  select case when g.expires_at < app.now() + interval '1 hour' then 0 else 4 end, 'gate', g.run_id, null, g.opened_at,
    format('%s %s before %s%s', g.kind, g.gate_key, c.step_id, coalesce(': ' || g.title, '')), app.answer_with(o.gate), g.expires_at
  from (select o as gate from app.gates as o where o.status = 'OPEN' order by o.opened_at limit 500) as o
    cross join lateral (select (o.gate).*) as g
    cross join lateral (select s.step_id from app.runs as r join app.recipe_steps as s on s.recipe_id = r.recipe_id where r.run_id = g.run_id and s.idx = g.idx limit 1) as c
  union all
  select case when f.run_id is null then 5 else 6 end, 'failed', r.run_id, null, r.ended_at,
    case when f.run_id is null then '' else format('its fork %s is %s; ', f.run_id, f.status) end || format('%s: %s', r.error ->> 'code', r.error ->> 'message'),
    case when f.run_id is null then format('select app.repair_run(%L, actor => ''me'', reason => ''…'')', r.run_id)
      else format('select * from app.fork_diff(%L, %L)', r.run_id, f.run_id) end, null
  from (
      select r.run_id, r.root_id, r.ended_at, r.error from app.runs as r
      where r.status = 'ERROR' and r.ended_at > app.now() - interval '24 hours' order by r.ended_at desc limit 500) as r
    left join lateral (
      select f.run_id, f.status from app.runs as f
      where f.root_id = coalesce(r.root_id, r.run_id) and f.forked_from = r.run_id and f.created_at >= r.ended_at order by f.created_at desc limit 1) as f on true
)
select i.kind, i.run_id, c.name as recipe, coalesce(i.queue_name, r.queue_name) as queue_name, coalesce(r.partition_key, p.partition_key) as partition_key, i.since,
  greatest(0, round(extract(epoch from app.now() - i.since)))::bigint as age_s, i.reason, i.call, i.deadline
from item as i left join app.runs as r on r.run_id = i.run_id left join app.recipes as c on c.recipe_id = r.recipe_id
  left join app.partitions as p on i.kind = 'paused partition' and p.queue_name = i.queue_name
    and i.call = format('select app.unpause_partition(%L, %L, actor => ''me'', reason => ''…'')', p.queue_name, p.partition_key)
order by i.urgency, i.deadline, i.since;
comment on view app.v_ops_inbox is
  'What needs a human, most urgent first: gates about to expire, paused queues and partitions, stalled runs, overdue timers and schedules, dead lanes, open gates, runs that failed in the last 24 hours, schedules that cannot start. reason says why, call is the SQL that helps. At most 500 rows of a kind.';

create or replace view app.v_schedules as
select s.name, s.cron, s.timezone,
  coalesce(s.options ->> 'recipeName', (select d.value #>> '{}' from app.settings as d where d.key = 'default_recipe')) as recipe,
  case when s.paused_at is not null then 'paused' when s.next_at is null then 'over'
    when coalesce(s.owed_until, s.next_at) < app.now() - interval '1 minute' then 'overdue' when s.last_error is not null then 'refused'
    when s.owed_until is not null then 'catching up' else 'ok' end as health,
  s.next_at, array(select app.cron_ticks(s.cron, s.timezone, greatest(s.next_at, app.now()), 3) where s.next_at is not null) as ticks_after,
  s.last_tick_at, e.outcome as last_outcome, e.run_id as last_run_id, r.status as last_run_status, s.last_error,
  s.catch_up, s.catch_up_cap, s.grace_seconds, s.paused_at, s.paused_by, s.pause_reason, s.intent, s.options, s.created_at, s.updated_at
from app.schedules as s
  left join app.schedule_ticks as e on e.name = s.name and e.tick_at = s.last_tick_at
  left join app.runs as r on r.run_id = e.run_id;
comment on view app.v_schedules is 'Schedules: the next tick and those after it, what became of the last, and how it is: ok, paused, overdue (nobody fires it), refused (the last tick could not start), catching up, or over (no tick within eight years).';
