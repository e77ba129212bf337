-- A database with history: plain set-based inserts, all triggers off, so it wants a superuser and a database where no run matters.
--
--   psql -v ON_ERROR_STOP=1 -f bench/seed.sql                         a million runs, 3 GB, some minutes
--   psql -v runs=100000 -v failed=10000 -v gates=1000 -v waiting=1000 -f bench/seed.sql
--
--   runs     that are over, started in the last 30 days, two steps and an artifact each; every 10th left a body
--   failed   of them, in ERROR, within the last 24 hours
--   gates    further runs that wait at the gate before their second step
--   waiting  further runs whose first step is in line, over 20 partitions
--
-- No worker is registered, and v_invariants stays empty: the rows are those that the engine would have written.

\set ON_ERROR_STOP on
\if :{?runs} \else \set runs 1000000 \endif
\if :{?failed} \else \set failed 100000 \endif
\if :{?gates} \else \set gates 10000 \endif
\if :{?waiting} \else \set waiting 10000 \endif

begin;
set local synchronous_commit = off;
set local maintenance_work_mem = '256MB';
set local session_replication_role = replica;
alter table app.runs disable trigger all;
alter table app.run_steps disable trigger all;
alter table app.artifacts disable trigger all;

select app.put_recipe('{"name": "seed", "steps": [{"stepId": "Work", "handler": "seed/work"}, {"stepId": "Check", "handler": "seed/check", "gate": {"key": "approve-plan"}}]}') as put \gset
select app.activate_recipe('seed', (:'put'::jsonb ->> 'version')::integer) \g /dev/null
select recipe_id from app.recipes where name = 'seed' and status = 'active' \gset
select app.now() as t \gset

-- i: 1 … runs are over (the last :failed of them failed), then those at the gate, then those in line
create temp table seed on commit drop as
select i, 'ih_' || encode(sha256(convert_to('seed ' || i, 'UTF8')), 'hex') as id,
  case when i <= :runs - :failed then 'SUCCESS' when i <= :runs then 'ERROR' when i <= :runs + :gates then 'WAITING_INPUT' else 'ENQUEUED' end as status,
  case when i <= :runs - :failed then :'t'::timestamptz - interval '30 days' * (1 - i / (:runs::float8))
    else :'t'::timestamptz - interval '24 hours' * (1 - (i - (:runs - :failed)) / ((:failed + :gates + :waiting)::float8)) end as at
from generate_series(1, :runs + :gates + :waiting) as i;

insert into app.intents (intent_id, body, created_at)
select id, jsonb_build_object('goal', 'seeded goal ' || i, 'inputs', jsonb_build_object('n', i), 'constraints', '{}'::jsonb), at from seed order by i;

insert into app.runs (run_id, intent_id, recipe_id, status, queue_name, partition_key, queue_seq, app_version, trace_id, oc_mode, sbx_mode, error, created_at,
  started_at, updated_at, ended_at)
select id, id, :recipe_id, status, 'intentQ', 'p' || i % 20, nextval('app.queue_position'), app.setting('app_version'), md5(id), 'replay', 'mock',
  case when status = 'ERROR' then '{"code": "seeded", "message": "it was made to fail", "stepID": "Check", "attempt": 1}'::jsonb end, at,
  case when status <> 'ENQUEUED' then at + interval '1 second' end, at + interval '5 seconds',
  case when status in ('SUCCESS', 'ERROR') then least(at + interval '5 seconds', :'t') end
from seed order by i;

insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, worker, msg_id, read_ct, output,
  error, enqueued_at, started_at, ended_at)
select r.run_id, k.idx, 1, k.step_id, k.status, 'intentQ', r.app_version, r.partition_key, 1, case when k.status = 'ENQUEUED' then r.queue_seq end,
  case when k.status <> 'ENQUEUED' then 'seed' end, case when k.status <> 'ENQUEUED' then 1 end, case when k.status <> 'ENQUEUED' then 0 end,
  case when k.status = 'SUCCESS' then '{"n": 1}'::jsonb end, case when k.status = 'ERROR' then '{"code": "seeded", "message": "it was made to fail"}'::jsonb end,
  r.created_at, case when k.status <> 'ENQUEUED' then r.created_at + interval '1 second' end, case when k.status <> 'ENQUEUED' then r.created_at + interval '3 seconds' end
from app.runs as r
  cross join lateral (values (0, 'Work', case r.status when 'ENQUEUED' then 'ENQUEUED' else 'SUCCESS' end), (1, 'Check', r.status)) as k (idx, step_id, status)
where r.recipe_id = :recipe_id and (k.idx = 0 or r.status in ('SUCCESS', 'ERROR'))
order by r.queue_seq, k.idx;

insert into app.artifact_blobs (sha256, body)
select encode(sha256(convert_to('body ' || i, 'UTF8')), 'hex'), convert_to('body ' || i, 'UTF8') from seed where i % 10 = 0 and status in ('SUCCESS', 'ERROR') order by i;
insert into app.artifacts (run_id, step_id, step_idx, idx, kind, name, media_type, size, sha256, created_at)
select d.id, k.step_id, k.idx, case when k.body then 0 else 999 end, case when k.body then 'file' else 'none' end, case when k.body then 'out.txt' else 'none' end, 'text/plain',
  case when k.body then length('body ' || d.i) else 4 end,
  case when k.body then encode(sha256(convert_to('body ' || d.i, 'UTF8')), 'hex') else '140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe' end, d.at
from seed as d cross join lateral (values (0, 'Work', d.i % 10 = 0 and d.status in ('SUCCESS', 'ERROR')), (1, 'Check', false)) as k (idx, step_id, body)
where d.status <> 'ENQUEUED' and (k.idx = 0 or d.status = 'SUCCESS')
order by d.i, k.idx;

insert into app.gates (run_id, gate_key, idx, kind, title, status, opened_at, expires_at)
select id, 'approve-plan', 1, 'approval', 'Approve it', 'OPEN', at + interval '5 seconds', at + interval '7 days' from seed where status = 'WAITING_INPUT' order by i;
insert into app.timers (kind, run_id, idx, gate_key, fire_at, created_at)
select 'gate_ttl', id, 1, 'approve-plan', at + interval '7 days', at + interval '5 seconds' from seed where status = 'WAITING_INPUT' order by i;

alter table app.runs enable trigger all;
alter table app.run_steps enable trigger all;
alter table app.artifacts enable trigger all;
alter table app.runs enable always trigger a_run_begins_well;
alter table app.runs enable always trigger a_run_follows_the_transitions;
alter table app.run_steps enable always trigger a_step_begins_well;
alter table app.run_steps enable always trigger a_step_follows_the_transitions;
alter table app.run_steps enable always trigger a_final_attempt_never_changes;
commit;
vacuum (freeze, analyze) app.runs, app.run_steps, app.artifacts, app.intents, app.gates, app.timers, app.artifact_blobs;
