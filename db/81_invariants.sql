-- Laws: every promise as a query. A row is a broken promise; empty is healthy.
--
--   select * from app.v_invariants;        law, run_id, detail
--
-- Bounded whatever the number of runs: v_open_laws looks at the 250 newest and the 250 oldest of each open status, at the 250 oldest and
-- newest open gates, the 250 timers that are due first, the first 250 in line, and at every lease. v_ended_laws looks for what can be
-- broken in runs that are over, in the newest 250 of each terminal status, and hashes the intents of the newest 100; v_schedule_laws looks
-- at schedules and their newest ticks, v_queue_laws at limits beside leases and tokens. What is looked at is read once. Each law has a test
-- that breaks it on purpose.

create or replace view app.v_open_runs as
select r.run_id, r.status, r.recipe_id
from unnest(array['ENQUEUED', 'PENDING', 'WAITING_INPUT']) as st (status)
  cross join lateral (
    (select n.run_id, n.status, n.recipe_id from app.runs as n where n.status = st.status order by n.created_at desc limit 250)
    union
    (select o.run_id, o.status, o.recipe_id from app.runs as o where o.status = st.status order by o.created_at limit 250)) as r;
comment on view app.v_open_runs is 'Of each status that is not terminal, the newest and the oldest 250 runs.';

create or replace view app.v_open_steps as
select s.*, r.status as run_status, r.recipe_id
from app.v_open_runs as r join app.run_steps as s using (run_id)
where s.status in ('ENQUEUED', 'PENDING');
comment on view app.v_open_steps is 'Attempts that are not final, of the runs of v_open_runs.';

create or replace view app.v_ended_runs as
select r.run_id, r.status, r.ended_at, r.recipe_id, r.reopened_at, r.intent_id, r.forked_from
from unnest(array['SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED']) as st (status)
  cross join lateral (select e.* from app.runs as e where e.status = st.status order by e.created_at desc limit 250) as r;
comment on view app.v_ended_runs is 'The newest 250 runs of each terminal status.';

create or replace view app.v_open_laws as
with run as materialized (
  select * from app.v_open_runs
), step as materialized (
  select s.run_id, s.idx, s.task_key, s.attempt, s.step_id, s.status, s.queue_name, s.msg_id, s.worker, s.parked_at, s.tasks_open, s.input, r.recipe_id
  from run as r join app.run_steps as s using (run_id) where s.status in ('ENQUEUED', 'PENDING')
), lease as materialized (
  select * from app.leases()
), held as (
  select l.*, s.run_id is not null as has_step
  from lease as l left join app.run_steps as s
    on s.run_id = l.run_id and s.task_key = l.task_key and s.status = 'PENDING' and s.queue_name = l.queue_name and s.msg_id = l.msg_id
)
select 'a receipt is seen once' as law, m.run_id, format('task %s was seen %s times', m.task_key, m.seen_count) as detail
from app.mock_receipts as m where m.seen_count <> 1
union all
select 'a terminal run has no step in line', s.run_id, format('%s attempt %s is ENQUEUED', s.step_id, s.attempt)
from (
    select w.run_id, w.step_id, w.attempt from app.run_steps as w where w.queue_seq is not null
    order by w.queue_name, w.app_version, w.partition_key, w.priority, w.queue_seq, w.task_idx limit 250) as s
  join app.runs as r using (run_id)
where r.ended_at is not null
union all
select 'a terminal run has no open gate', g.run_id, format('gate %s is OPEN', g.gate_key)
from (
    (select o.run_id, o.gate_key from app.gates as o where o.status = 'OPEN' order by o.opened_at limit 250)
    union (select n.run_id, n.gate_key from app.gates as n where n.status = 'OPEN' order by n.opened_at desc limit 250)) as g
  join app.runs as r using (run_id)
where r.status <> 'WAITING_INPUT'
union all
select 'a terminal run has no timer', m.run_id, format('%s timer %s is open', m.kind, m.timer_id)
from (select d.run_id, d.kind, d.timer_id from app.timers as d where d.fired_at is null and d.closed_at is null order by d.fire_at limit 250) as m
  join app.runs as r using (run_id)
where r.ended_at is not null
union all
select 'a timer never fires early', m.run_id, format('%s timer %s fired at %s, due %s', m.kind, m.timer_id, m.fired_at, m.fire_at)
from app.timers as m where m.fired_at < m.fire_at
union all
select 'a waiting run has an open gate', r.run_id, 'WAITING_INPUT without an open gate'
from run as r where r.status = 'WAITING_INPUT' and not exists (select from app.gates as g where g.run_id = r.run_id and g.status || '' = 'OPEN')
union all
select 'a working run can go on', r.run_id, format('%s without an open step or a retry timer', r.status)
from run as r
where r.status in ('ENQUEUED', 'PENDING') and not exists (select from step as s where s.run_id = r.run_id)
  and not exists (select from app.timers as m where m.run_id = r.run_id and m.kind = 'retry' and coalesce(m.fired_at, m.closed_at) is null)
union all
select 'a running step has a lease', s.run_id, format('%s attempt %s is PENDING without a message', s.step_id, s.attempt)
from step as s
where s.msg_id is not null and not exists (select from lease as l where l.queue_name = s.queue_name and l.msg_id = s.msg_id)
union all
select 'a parked step will wake', s.run_id, format('%s attempt %s is parked without a timer or an open gate', s.step_id, s.attempt)
from step as s
where s.parked_at is not null
  and not exists (select from app.timers as m where m.run_id = s.run_id and m.idx = s.idx and m.task_key = s.task_key and m.kind = 'sleep'
    and coalesce(m.fired_at, m.closed_at) is null)
  and not exists (select from app.gates as g where g.run_id = s.run_id and g.idx = s.idx and g.task_key = s.task_key and g.from_handler and g.status || '' = 'OPEN')
union all
select 'a lease has a running step', h.run_id, format('message %s of %s has no attempt', h.msg_id, h.queue_name) from held as h where not h.has_step
union all
select 'a lease has a worker', s.run_id, format('worker %s of %s attempt %s never registered', s.worker, s.step_id, s.attempt)
from step as s
where s.msg_id is not null and not exists (select from app.workers as w where w.worker = s.worker)
union all
select 'a step waits for exactly its open tasks', p.run_id, format('%s counts %s open tasks, there are %s', p.step_id, p.tasks_open, k.n)
from step as p
  cross join lateral (
    select count(*) as n
    from (select distinct on (s.task_key) s.* from app.run_steps as s
      where s.run_id = p.run_id and s.idx = p.idx and s.task_key <> '' and (p.input is null or p.input -> 'taskKeys' ? s.task_key)
      order by s.task_key, s.attempt desc) as s
    where s.status in ('ENQUEUED', 'PENDING')
      or exists (select from app.timers as m where m.run_id = s.run_id and m.idx = s.idx and m.task_key = s.task_key
        and m.kind = 'retry' and coalesce(m.fired_at, m.closed_at) is null)) as k
where p.task_key = '' and p.tasks_open > 0 and p.tasks_open <> k.n
union all
select 'only one attempt of a step is open', s.run_id, format('%s has %s open attempts', s.step_id, count(*))
from step as s group by s.run_id, s.idx, s.step_id, s.task_key having count(*) > 1
union all
select 'a step begins after what it needs', s.run_id, format('%s began before %s had succeeded', s.step_id, p.step_id)
from step as s join app.recipe_steps as c on c.recipe_id = s.recipe_id and c.idx = s.idx
  cross join lateral unnest(c.needs) as n (idx) join app.recipe_steps as p on p.recipe_id = s.recipe_id and p.idx = n.idx
where s.task_key = '' and not exists (
  select from app.run_steps as o where o.run_id = s.run_id and o.idx = n.idx and o.task_key = '' and o.status = 'SUCCESS')
union all
select 'who paused a queue is on record', 'queue/' || q.queue_name, format('paused by %s without an OPS artifact', q.paused_by)
from app.queues as q
where q.paused_at is not null
  and not exists (
    select from app.artifacts as a
    where a.run_id = 'queue/' || q.queue_name and a.step_id = 'OPS' and a.inline ->> 'op' = 'pause' and (a.inline -> 'at')::bigint = floor(extract(epoch from q.paused_at) * 1000));
comment on view app.v_open_laws is 'Broken laws of what is under way: law, run_id, detail.';

create or replace view app.v_ended_laws as
with run as materialized (
  select * from app.v_ended_runs
), step as materialized (
  select s.run_id, s.idx, s.task_key, s.attempt, s.step_id, s.status, s.tasks_open, s.input, s.cached_from, s.lost, s.ended_at, s.queue_seq, r.recipe_id, r.reopened_at,
    coalesce(s.error ->> 'code' = 'cancelled' and s.enqueued_at < r.reopened_at, false) as told_to_stop
  from run as r join app.run_steps as s using (run_id)
), artifact as materialized (
  select a.artifact_id, a.run_id, a.step_id, a.step_idx, a.task_key, case when a.inline is null then a.sha256 end as sha256,
    case when a.step_id = 'OPS' then a.inline ->> 'op' end as op
  from run as r join app.artifacts as a using (run_id)
)
select 'a step that ended well left an artifact' as law, s.run_id, format('%s attempt %s has none', s.step_id, s.attempt) as detail
from step as s
where s.status = 'SUCCESS' and s.cached_from is null and s.tasks_open is null
  and not exists (select from artifact as a where a.run_id = s.run_id and a.step_idx = s.idx and a.task_key = s.task_key)
union all
select 'a step that ended well left an artifact', s.run_id, format('%s attempt %s has none', s.step_id, s.attempt)
from step as s
where s.status = 'SUCCESS' and s.cached_from is null and s.tasks_open is not null
  and not exists (select from artifact as a where a.run_id = s.run_id and a.step_idx = s.idx)
union all
select 'a terminal run has no step in line', s.run_id, format('%s attempt %s is ENQUEUED', s.step_id, s.attempt) from step as s where s.queue_seq is not null
union all
select 'a terminal run waits for no task', s.run_id, format('%s attempt %s counts %s open tasks', s.step_id, s.attempt, s.tasks_open)
from step as s where s.status = 'PENDING' and s.tasks_open > 0
union all
select 'a cached step is what its source made', s.run_id, format('%s differs from that of run %s', s.step_id, s.cached_from)
from step as s
where s.cached_from is not null and not exists (
  select from app.run_steps as o join app.run_steps as c on c.run_id = s.run_id and c.idx = s.idx and c.task_key = s.task_key and c.attempt = s.attempt
  where o.run_id = s.cached_from and o.idx = s.idx and o.task_key = s.task_key and o.attempt = s.attempt and o.status = 'SUCCESS'
    and o.output is not distinct from c.output)
union all
select 'a run succeeds with all its steps', e.run_id, format('SUCCESS without a SUCCESS attempt of %s', c.step_id)
from run as e join app.recipe_steps as c on c.recipe_id = e.recipe_id
where e.status = 'SUCCESS' and not exists (
  select from step as s where s.run_id = e.run_id and s.idx = c.idx and s.task_key = '' and s.status = 'SUCCESS')
union all
select 'a step succeeds once', s.run_id, format('%s succeeded %s times', min(s.step_id), count(*))
from step as s where s.status = 'SUCCESS' group by s.run_id, s.idx, s.task_key having count(*) > 1
union all
select 'attempts count without a gap', s.run_id, format('%s has %s attempts, the last is number %s', min(s.step_id), count(*), max(s.attempt))
from step as s where s.cached_from is null group by s.run_id, s.idx, s.task_key having count(*) <> max(s.attempt)
union all
select 'a step is tried no more often than its recipe says', s.run_id, format('%s failed %s times', min(s.step_id), count(*))
from step as s join app.recipe_steps as c on c.recipe_id = s.recipe_id and c.idx = s.idx
where s.status = 'ERROR' and not s.lost and not s.told_to_stop and s.ended_at >= coalesce(s.reopened_at, '-infinity')
group by s.run_id, s.idx, s.task_key having count(*) > max(case s.task_key when '' then c.max_attempts else c.fan_max_attempts end)
union all
select 'a step succeeds with all its tasks', s.run_id, format('%s succeeded although task %s had not', s.step_id, k.task_key)
from step as s join step as k on k.run_id = s.run_id and k.idx = s.idx and k.task_key <> '' and (s.input is null or s.input -> 'taskKeys' ? k.task_key)
where s.task_key = '' and s.status = 'SUCCESS' and s.tasks_open is not null and s.cached_from is null and k.status <> 'SUCCESS'
  and not exists (select from step as o where o.run_id = k.run_id and o.idx = k.idx and o.task_key = k.task_key and o.status = 'SUCCESS')
union all
select 'a receipt is of a task that succeeded', m.run_id, format('task %s has a receipt and no success', m.task_key)
from run as e join app.mock_receipts as m using (run_id)
where not exists (select from step as s where s.run_id = m.run_id and s.task_key = m.task_key and s.status = 'SUCCESS')
union all
select 'an answered gate has its reply', g.run_id, format('gate %s is ANSWERED and nobody replied', g.gate_key)
from run as e join app.gates as g using (run_id)
where g.status = 'ANSWERED' and not (g.on_expiry = 'answer' and g.payload = g.expiry_answer)
  and not exists (select from app.gate_replies as p where p.run_id = g.run_id and p.gate_key = g.gate_key and p.payload = g.payload)
union all
select 'an artifact has its bytes', a.run_id, format('artifact %s of %s is nowhere', a.artifact_id, a.step_id)
from artifact as a
where a.sha256 is not null and not exists (select from app.artifact_blobs as b where b.sha256 = a.sha256)
union all
select 'who reopened a run is on record', e.run_id, 'reopened without an OPS artifact'
from run as e
where e.reopened_at is not null and not exists (select from artifact as a where a.run_id = e.run_id and a.op in ('resume', 'repair'))
union all
select 'who cancelled a run is on record', e.run_id, 'CANCELLED without an OPS artifact or an expired gate'
from run as e
where e.status = 'CANCELLED' and not exists (select from artifact as a where a.run_id = e.run_id and a.op = 'cancel')
  and not exists (select from app.gates as g where g.run_id = e.run_id and g.status = 'EXPIRED' and g.on_expiry = 'cancel')
union all
select 'a purged run is gone', p.run_id, format('purged at %s and there again', p.purged_at)
from (select p.run_id, p.purged_at from app.purged_runs as p order by p.purged_at desc limit 500) as p join app.runs as r using (run_id)
union all
select 'a run bears the name of its intent', e.run_id, format('its intent is %s', e.intent_id)
from run as e where e.run_id like 'ih\_%' and e.forked_from is null and e.run_id <> e.intent_id
union all
select 'an intent bears the name of its content', e.run_id, format('its content has the name %s', e.named)
from (
  select r.run_id, r.intent_id, app.name_by_content(r.intent_id) as named
  from (select r.run_id, r.intent_id from run as r order by r.ended_at desc limit 100) as r) as e
where e.named <> e.intent_id;
comment on view app.v_ended_laws is 'Broken laws of the newest runs that are over: law, run_id, detail.';

create or replace view app.v_new_ticks as
select e.* from app.schedules as s
  cross join lateral (select e.* from app.schedule_ticks as e where e.name = s.name order by e.tick_at desc limit 20) as e;
comment on view app.v_new_ticks is 'The newest twenty rows of ticks of every schedule.';

create or replace view app.v_schedule_laws as
select 'a started tick has its run' as law, e.run_id, format('the intent of the tick %s of schedule %s is another', e.tick_at, e.name) as detail
from app.v_new_ticks as e left join app.runs as r using (run_id) left join app.intents as i using (intent_id)
where e.outcome = 'started' and i.body #> '{inputs,scheduledTick}' is distinct from
  jsonb_build_object('schedule', e.name, 'at', to_char(e.tick_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
union all
select 'a run tells its tick once', e.run_id, format('%s artifacts tell the tick %s of schedule %s', k.n, e.tick_at, e.name)
from app.v_new_ticks as e
  cross join lateral (select count(*) as n from app.artifacts as a where a.run_id = e.run_id and a.step_id = 'ScheduledTick' and a.step_idx is null) as k
where e.outcome = 'started' and k.n <> 1
union all
select 'a skipped tick did not start', e.run_id, format('the tick %s of schedule %s is in the stretch skipped until %s', e.tick_at, e.name, k.tick_at)
from app.v_new_ticks as k join app.schedule_ticks as e on e.name = k.name and e.tick_at >= k.first_tick_at and e.tick_at < k.tick_at
where k.outcome = 'skipped'
union all
select 'the next tick is not decided yet', e.run_id, format('the tick %s of schedule %s was %s, the next is %s', e.tick_at, e.name, e.outcome, s.next_at)
from app.schedules as s join app.v_new_ticks as e on e.name = s.name and e.tick_at >= s.next_at
union all
select 'who paused a schedule is on record', 'schedule/' || s.name, format('paused by %s without an OPS artifact', s.paused_by)
from app.schedules as s
where s.paused_at is not null and not exists (
  select from app.artifacts as a where a.run_id = 'schedule/' || s.name and a.step_id = 'OPS' and a.inline ->> 'op' = 'pause'
    and (a.inline -> 'at')::bigint = floor(extract(epoch from s.paused_at) * 1000));
comment on view app.v_schedule_laws is 'Broken laws of schedules and their newest ticks: law, run_id, detail.';

create or replace view app.v_queue_laws as
with lease as materialized (
  select * from app.leases()
)
-- a limit that was lowered below what runs is not broken: nothing was handed out since
select 'a queue runs no more than its limit' as law, 'queue/' || q.queue_name as run_id, format('%s leases, the limit is %s', l.n, q.max_running) as detail
from app.queues as q join (select l.queue_name, count(*) as n, max(l.granted_at) as last_at from lease as l group by 1) as l using (queue_name)
where l.n > q.max_running and l.last_at > q.limits_at
union all
select 'a partition runs no more than its limit', concat_ws('/', 'queue', q.queue_name, l.partition_key),
  format('%s leases, the limit is %s', l.n, coalesce(p.max_running, q.max_running_per_partition))
from app.queues as q join (select l.queue_name, l.partition_key, count(*) as n, max(l.granted_at) as last_at from lease as l group by 1, 2) as l using (queue_name)
  left join app.partitions as p on p.queue_name = q.queue_name and p.partition_key = l.partition_key
where l.n > coalesce(p.max_running, q.max_running_per_partition) and l.last_at > greatest(q.limits_at, p.limits_at)
union all
select 'a worker runs no more than its limit', 'queue/' || q.queue_name, format('worker %s has %s leases, the limit is %s', l.worker, l.n, q.max_running_per_worker)
from app.queues as q join (select l.queue_name, l.worker, count(*) as n, max(l.granted_at) as last_at from lease as l group by 1, 2) as l using (queue_name)
where l.n > q.max_running_per_worker and l.last_at > q.limits_at
union all
-- tokens are told by the engine's clock, limits by the real one
select 'no window holds more tokens than the rate', 'queue/' || q.queue_name, format('%s tokens in %s s, the limit is %s', k.n, q.rate_seconds, q.rate_limit)
from app.queues as q
  cross join lateral (
    select sum(k.tokens) as n, max(k.used_at) - (app.now() - clock_timestamp()) as last_at from app.rate_tokens as k
    where k.queue_name = q.queue_name and k.used_at > app.now() - q.rate_seconds * interval '1 second') as k
where k.n > q.rate_limit and k.last_at > q.limits_at
union all
select 'no window of a partition holds more tokens than its rate', concat_ws('/', 'queue', q.queue_name, k.partition_key),
  format('%s tokens in %s s, the limit is %s', k.n, q.rate_seconds_per_partition, q.rate_limit_per_partition)
from app.queues as q
  cross join lateral (
    select k.partition_key, sum(k.tokens) as n, max(k.used_at) - (app.now() - clock_timestamp()) as last_at from app.rate_tokens as k
    where k.queue_name = q.queue_name and k.used_at > app.now() - q.rate_seconds_per_partition * interval '1 second' group by 1) as k
where k.n > q.rate_limit_per_partition and k.last_at > q.limits_at
union all
select 'who paused a partition is on record', concat_ws('/', 'queue', p.queue_name, p.partition_key), format('paused by %s without an OPS artifact', p.paused_by)
from app.partitions as p
where p.paused_at is not null
  and not exists (
    select from app.artifacts as a
    where a.run_id = concat_ws('/', 'queue', p.queue_name, p.partition_key) and a.step_id = 'OPS' and a.inline ->> 'op' = 'pause'
      and (a.inline -> 'at')::bigint = floor(extract(epoch from p.paused_at) * 1000));
comment on view app.v_queue_laws is 'Broken laws of limits and pauses: law, run_id (queue/<name>, or queue/<name>/<partition>), detail.';

create or replace view app.v_invariants as
select law, run_id, detail from app.v_open_laws
union all
select law, run_id, detail from app.v_ended_laws
union all
select law, run_id, detail from app.v_schedule_laws
union all
select law, run_id, detail from app.v_queue_laws;
comment on view app.v_invariants is 'One row per broken law: law, run_id, detail. Empty is healthy.';
