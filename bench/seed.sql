-- Rows by the million, made as a restore makes them: set-based, by a superuser, without the triggers and foreign keys that a caller meets.
-- Each statement makes the runs number first to last of a label. Columns that are not named keep their defaults.

-- name: begin_seed
alter table app.runs disable trigger a_run_begins_well;
alter table app.run_steps disable trigger a_step_begins_well;
set session_replication_role = replica;

-- name: end_seed
set session_replication_role = origin;
select app.enforce_transitions();

-- name: waiting
with new as materialized (
  select app.intent_id(b.body) as run_id, b.body, n, nextval('app.queue_position') as queue_seq,
    case when %(partitions)s::integer > 0 then 'tenant-' || mod(n, %(partitions)s::integer) else %(partition)s::text end as partition_key
  from generate_series(%(first)s::integer, %(last)s::integer) as n
    cross join lateral (select jsonb_build_object('goal', %(label)s::text || ' ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) as b (body)
  order by n
), intent as (
  insert into app.intents (intent_id, body)
  select run_id, body from new
), run as (
  insert into app.runs (run_id, intent_id, recipe_id, queue_name, partition_key, queue_seq, app_version, trace_id, oc_mode, sbx_mode, created_at, updated_at)
  select n.run_id, n.run_id, p.recipe_id, p.queue_name, n.partition_key, n.queue_seq, app.setting('app_version'), md5(n.run_id), 'replay', 'mock',
    clock_timestamp(), clock_timestamp()
  from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active'
)
insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key, priority, queue_seq, enqueued_at)
select n.run_id, 0, 1, c.step_id, 'ENQUEUED', c.queue_name, app.setting('app_version'), n.partition_key, 1, n.queue_seq, clock_timestamp()
from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active' join app.recipe_steps as c on c.recipe_id = p.recipe_id and c.idx = 0
order by n.queue_seq;

-- name: sleeping
with new as materialized (
  select app.intent_id(b.body) as run_id, b.body, n, nextval('app.queue_position') as queue_seq,
    clock_timestamp() - interval '1 hour' as t
  from generate_series(%(first)s::integer, %(last)s::integer) as n
    cross join lateral (select jsonb_build_object('goal', %(label)s::text || ' ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) as b (body)
  order by n
), intent as (
  insert into app.intents (intent_id, body)
  select run_id, body from new
), run as (
  insert into app.runs (run_id, intent_id, recipe_id, status, queue_name, queue_seq, app_version, trace_id, oc_mode, sbx_mode, created_at, started_at, updated_at)
  select n.run_id, n.run_id, p.recipe_id, 'PENDING', p.queue_name, n.queue_seq, app.setting('app_version'), md5(n.run_id), 'replay', 'mock', n.t, n.t, n.t
  from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active'
), step as (
  insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, priority, enqueued_at, started_at, parked_at)
  select n.run_id, 0, 1, c.step_id, 'PENDING', c.queue_name, app.setting('app_version'), 1, n.t, n.t, n.t
  from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active' join app.recipe_steps as c on c.recipe_id = p.recipe_id and c.idx = 0
)
insert into app.timers (kind, run_id, idx, fire_at, created_at)
select 'sleep', n.run_id, 0, n.t + interval '1 day' + n.n * interval '1 second', n.t from new as n;

-- name: finished
-- over for between no time and hours_ago; errors of a hundred failed
with new as materialized (
  select app.intent_id(b.body) as run_id, b.body, n, nextval('app.queue_position') as queue_seq,
    clock_timestamp() - interval '5 seconds' - (%(hours)s::double precision * n / %(total)s::integer) * interval '1 hour' as t, mod(n, 100) < %(errors)s::integer as failed
  from generate_series(%(first)s::integer, %(last)s::integer) as n
    cross join lateral (select jsonb_build_object('goal', %(label)s::text || ' ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) as b (body)
  order by n
), intent as (
  insert into app.intents (intent_id, body)
  select run_id, body from new
), run as (
  insert into app.runs (run_id, intent_id, recipe_id, status, queue_name, queue_seq, app_version, trace_id, oc_mode, sbx_mode, error,
    created_at, started_at, updated_at, ended_at)
  select n.run_id, n.run_id, p.recipe_id, case when n.failed then 'ERROR' else 'SUCCESS' end, p.queue_name, n.queue_seq, app.setting('app_version'),
    md5(n.run_id), 'replay', 'mock', case when n.failed then jsonb_build_object('code', 'bench', 'message', 'made to fail', 'stepID', c.step_id, 'attempt', 1) end,
    n.t, n.t + interval '5 ms', n.t + interval '1 second', n.t + interval '1 second'
  from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active' join app.recipe_steps as c on c.recipe_id = p.recipe_id and c.idx = 0
), step as (
  insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, priority, worker, msg_id, read_ct, output, error,
    enqueued_at, started_at, ended_at)
  select n.run_id, 0, 1, c.step_id, case when n.failed then 'ERROR' else 'SUCCESS' end, c.queue_name, app.setting('app_version'), 1, 'bench', n.queue_seq, 0,
    case when not n.failed then jsonb_build_object('idx', 0) end, case when n.failed then jsonb_build_object('code', 'bench', 'message', 'made to fail') end,
    n.t, n.t + interval '5 ms', n.t + interval '1 second'
  from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active' join app.recipe_steps as c on c.recipe_id = p.recipe_id and c.idx = 0
)
insert into app.artifacts (run_id, step_id, step_idx, attempt, idx, kind, name, media_type, size, sha256, created_at)
select n.run_id, c.step_id, 0, 1, 999, 'none', 'none', 'text/plain', 4, b.sha256, n.t + interval '1 second'
from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active' join app.recipe_steps as c on c.recipe_id = p.recipe_id and c.idx = 0
  join app.artifact_blobs as b on b.body = 'none'::bytea
where not n.failed;

-- name: at_a_gate
with new as materialized (
  select app.intent_id(b.body) as run_id, b.body, n, nextval('app.queue_position') as queue_seq,
    clock_timestamp() - n * interval '1 second' as t
  from generate_series(%(first)s::integer, %(last)s::integer) as n
    cross join lateral (select jsonb_build_object('goal', %(label)s::text || ' ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) as b (body)
  order by n
), intent as (
  insert into app.intents (intent_id, body)
  select run_id, body from new
), run as (
  insert into app.runs (run_id, intent_id, recipe_id, status, queue_name, queue_seq, app_version, trace_id, oc_mode, sbx_mode, created_at, started_at, updated_at)
  select n.run_id, n.run_id, p.recipe_id, 'WAITING_INPUT', p.queue_name, n.queue_seq, app.setting('app_version'), md5(n.run_id), 'replay', 'mock', n.t, n.t, n.t
  from new as n join app.recipes as p on p.name = %(recipe)s and p.status = 'active'
)
insert into app.gates (run_id, gate_key, idx, kind, status, opened_at)
select n.run_id, 'bench-gate', 0, 'approval', 'OPEN', n.t from new as n;
