-- Oracles: views that answer an operator. Columns are only ever appended.

create or replace view app.v_run_timeline as
select s.run_id, s.idx, s.step_id, s.task_key, s.attempt, s.status, s.worker, s.enqueued_at, s.started_at, s.ended_at,
  round(extract(epoch from s.started_at - s.enqueued_at) * 1000)::bigint as waited_ms,
  round(extract(epoch from coalesce(s.ended_at, case when s.status = 'PENDING' then app.now() end) - s.started_at) * 1000)::bigint as duration_ms,
  s.error ->> 'code' as error_code, s.error ->> 'message' as error_message,
  (select count(*) from app.artifacts as a where a.run_id = s.run_id and a.step_idx = s.idx and a.task_key = s.task_key and a.attempt = s.attempt) as artifacts
from app.run_steps as s
union all
select g.run_id, g.idx, 'gate ' || g.gate_key, '', 1, g.status, null, null, g.opened_at, coalesce(g.answered_at, g.closed_at), null,
  round(extract(epoch from coalesce(g.answered_at, g.closed_at, app.now()) - g.opened_at) * 1000)::bigint, null, null, 0
from app.gates as g
where g.opened_at is not null;
comment on view app.v_run_timeline is 'What a run did: a row per attempt and per gate. Filter by run_id, order by idx, started_at. Durations in ms.';

create or replace view app.v_ops_queue_depth as
with waiting as (
  select s.queue_name, s.partition_key, count(*) as enqueued, min(s.enqueued_at) as oldest_enqueued_at
  from app.run_steps as s where s.queue_seq is not null group by 1, 2
), leased as (
  select l.queue_name, r.partition_key, count(*) as pending, count(*) filter (where l.expires_at < clock_timestamp()) as expired
  from app.leases() as l join app.runs as r on r.run_id = l.run_id group by 1, 2
)
select q.queue_name, coalesce(w.partition_key, l.partition_key, '') as partition_key, coalesce(w.enqueued, 0) as enqueued, coalesce(l.pending, 0) as pending,
  coalesce(l.expired, 0) as expired, w.oldest_enqueued_at, round(extract(epoch from app.now() - w.oldest_enqueued_at))::bigint as oldest_age_s
from app.queues as q
  left join (waiting as w full join leased as l on l.queue_name = w.queue_name and l.partition_key = w.partition_key)
    on q.queue_name = coalesce(w.queue_name, l.queue_name);
comment on view app.v_ops_queue_depth is 'Per queue and partition: steps in line, steps under a lease, expired leases, and the age of the oldest in seconds.';

create or replace view app.v_ops_workers as
select w.worker, app.is_alive(w) as alive, w.app_version, w.queues, w.concurrency, w.host, w.pid, w.started_at, w.last_seen_at, w.stopped_at,
  (select count(*) from app.leases() as l join app.run_steps as s
     on s.run_id = l.run_id and s.task_key = l.task_key and s.status = 'PENDING' and s.queue_name = l.queue_name and s.msg_id = l.msg_id
   where s.worker = w.worker) as leases
from app.workers as w;
comment on view app.v_ops_workers is 'Workers, whether they are alive, and what they hold.';

create or replace view app.v_gates_open as
select g.run_id, g.gate_key, g.kind, g.title, c.step_id as before_step, g.opened_at, g.expires_at, r.partition_key, r.tenant_id,
  case g.gate_key when 'approve-plan' then format('select app.approve_plan(%L, approved_by => ''me''', g.run_id)
    else format('select app.reply_gate(%L, %L, payload => %L, dedupe_key => ''1'', origin => ''me''', g.run_id, g.gate_key,
      case g.kind when 'approval' then '{"decision": "yes"}' else '{}' end) end
    || case when g.shown_sha256 is not null then format(', shown_sha256 => %L', g.shown_sha256) else '' end || ')' as answer_with,
  g.shown_sha256, g.quorum - app.counted(g, g.shown_sha256) as missing
from app.gates as g join app.runs as r using (run_id) join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = g.idx
where g.status = 'OPEN';
comment on view app.v_gates_open is 'Gates that wait for a human, with the call that answers each. missing: how many have to answer yet; before_step: for a gate of a handler, its own step.';

create or replace view app.v_state_machine as
select t.entity, t.from_status, t.to_status, t.action from app.run_transitions as t;
comment on view app.v_state_machine is 'The legal transitions of runs and step attempts; everything else is PT409.';

create or replace view app.v_recipes as
select p.name, p.version, p.status, p.queue_name, array(select c.step_id from app.recipe_steps as c where c.recipe_id = p.recipe_id order by c.idx) as steps,
  p.body ->> 'description' as description, p.created_at, p.activated_at
from app.recipes as p;
comment on view app.v_recipes is 'Recipe versions with the names of their steps; new runs take the active one.';

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
