-- Statements of the soak. run_ids null means every run of the database.

-- name: short_leases
update app.queues as q set lease_seconds = %(lease)s,
  max_recoveries = case q.queue_name when 'controlQ' then 1 else 1000 end;

-- name: look
select r.run_id, r.status,
  (select count(distinct s.idx) from app.run_steps as s where s.run_id = r.run_id and s.task_key = '' and s.status = 'SUCCESS')::integer as steps,
  (select count(distinct s.task_key) from app.run_steps as s where s.run_id = r.run_id and s.task_key <> '' and s.status = 'SUCCESS')::integer as tasks,
  array(select g.gate_key from app.gates as g where g.run_id = r.run_id and g.status = 'OPEN') as gates
from app.runs as r where r.run_id = any (%(run_ids)s);

-- name: busiest
select s.worker from app.run_steps as s
where s.status = 'PENDING' and s.msg_id is not null and s.worker = any (%(workers)s)
group by s.worker order by count(*) desc, s.worker limit 1;

-- name: terminate
select pg_terminate_backend(a.pid) from pg_stat_activity as a
where a.datname = current_database() and a.application_name like %(pattern)s
order by random() limit 1;

-- name: leases
select count(*) from app.leases();

-- name: outputs
select r.run_id, r.status, r.error, (
  select s.output from app.run_steps as s
  where s.run_id = r.run_id and s.task_key = '' and s.status = 'SUCCESS' order by s.idx desc, s.attempt desc limit 1) as output
from app.runs as r where r.run_id = any (%(run_ids)s);

-- name: figures
select count(distinct s.run_id)::integer as runs,
  count(distinct (s.run_id, s.idx, s.task_key)) filter (where s.task_key <> '')::integer as tasks,
  count(*)::integer as attempts, count(*) filter (where s.lost)::integer as lost
from app.run_steps as s where %(run_ids)s::text[] is null or s.run_id = any (%(run_ids)s);

-- name: duplicates
-- whatever was committed more often than once, or where it does not belong
with step as not materialized (
  select s.* from app.run_steps as s where %(run_ids)s::text[] is null or s.run_id = any (%(run_ids)s)
), made as not materialized (
  select a.* from app.artifacts as a where a.step_idx is not null and (%(run_ids)s::text[] is null or a.run_id = any (%(run_ids)s))
), receipt as not materialized (
  select m.* from app.mock_receipts as m where %(run_ids)s::text[] is null or m.run_id = any (%(run_ids)s)
)
select 'a receipt is seen once' as what, m.run_id, format('task %%s was seen %%s times', m.task_key, m.seen_count) as detail
from receipt as m where m.seen_count <> 1
union all
select 'a step succeeds once', s.run_id, format('%%s %%s has %%s attempts in SUCCESS', s.step_id, left(s.task_key, 8), count(*))
from step as s where s.status = 'SUCCESS' group by s.run_id, s.idx, s.step_id, s.task_key having count(*) > 1
union all
select 'an artifact is kept once', a.run_id, format('%%s %%s attempt %%s: artifact %%s is there %%s times', a.step_id, left(a.task_key, 8), a.attempt, a.idx, count(*))
from made as a group by a.run_id, a.step_idx, a.step_id, a.task_key, a.attempt, a.idx having count(*) > 1
union all
select 'every success leaves its artifacts', s.run_id, format('%%s %%s attempt %%s has %%s first artifacts', s.step_id, left(s.task_key, 8), s.attempt, a.n)
from step as s cross join lateral (
  select count(*) as n from made as a
  where a.run_id = s.run_id and a.step_idx = s.idx and a.task_key = s.task_key and a.attempt = s.attempt and a.idx in (0, 999)) as a
where s.status = 'SUCCESS' and a.n <> 1 and (a.n > 1 or s.tasks_open is null)
union all
select 'a lost attempt leaves nothing', s.run_id, format('%%s %%s attempt %%s', s.step_id, left(s.task_key, 8), s.attempt)
from step as s where s.lost and exists (
  select from made as a where a.run_id = s.run_id and a.step_idx = s.idx and a.task_key = s.task_key and a.attempt = s.attempt)
union all
select 'a receipt has its task', m.run_id, format('task %%s has no attempt in SUCCESS', m.task_key)
from receipt as m where not exists (
  select from step as s where s.run_id = m.run_id and s.task_key = m.task_key and s.status = 'SUCCESS')
union all
select 'a task has its receipt', s.run_id, format('%%s %%s succeeded without one', s.step_id, left(s.task_key, 8))
from step as s where s.task_key <> '' and s.status = 'SUCCESS' and s.cached_from is null and not exists (
  select from receipt as m where m.run_id = s.run_id and m.task_key = s.task_key)
union all
select 'a cached step makes no receipt', m.run_id, format('task %%s', m.task_key)
from receipt as m join step as s on s.run_id = m.run_id and s.task_key = m.task_key where s.cached_from is not null
order by 1, 2, 3;

-- name: sabotage_late_commits
-- a worker that lost its lease commits all the same: no fence, and no guards behind it
alter table app.run_steps disable trigger user;
create schema honest;
alter function app.accept_results(text, app.result[]) set schema honest;
create function app.accept_results(worker text, given app.result[]) returns app.lane_result[] language plpgsql set search_path = '' as $$
begin
  perform from app.runs as r
  where r.run_id = any (array(select g.run_id from unnest(given) as g))
  order by r.run_id for no key update;
  update app.run_steps as s set status = 'PENDING', ended_at = null, error = null, lost = false
  from unnest(given) as g
  where s.run_id = g.run_id and s.idx = g.idx and s.task_key = g.task_key and s.attempt = g.attempt and s.lost;
  return honest.accept_results(worker, given);
end
$$;

-- name: sabotage_double_effects
-- what a step leaves behind is written twice
create schema honest;
alter function app.keep_artifacts(app.lane_result[], boolean, timestamptz) set schema honest;
create function app.keep_artifacts(accepted app.lane_result[], has_artifacts boolean, t timestamptz) returns void language plpgsql set search_path = '' as $$
begin
  perform honest.keep_artifacts(accepted, has_artifacts, t);
  perform honest.keep_artifacts(accepted, has_artifacts, t);
end
$$;
alter function app.keep_receipts(app.lane_result[], timestamptz) set schema honest;
create function app.keep_receipts(accepted app.lane_result[], t timestamptz) returns void language plpgsql set search_path = '' as $$
begin
  perform honest.keep_receipts(accepted, t);
  perform honest.keep_receipts(accepted, t);
end
$$;

-- name: sabotage_no_recovery
-- nobody takes over from a worker that died
create or replace function app.recover_leases() returns integer language sql volatile set search_path = '' as 'select 0';
