-- DBOS: the same truth under the names of DBOS Transact's system tables, read only, for whoever has queries and dashboards for those.
--
--   dbos.workflow_status      a row per run; workflow_uuid is the run id
--   dbos.operation_outputs    a row per step that has ended; function_id is its index in the recipe
--
-- Statuses are ours: WAITING_INPUT is one that DBOS does not have. Times are epoch ms. What has no counterpart here is null.

create schema if not exists dbos;
comment on schema dbos is 'Runs and steps under the names of DBOS Transact''s system tables: views, read only.';

create or replace view dbos.workflow_status as
select r.run_id as workflow_uuid, r.status, c.name, coalesce(r.started_by, '') as authenticated_user, ''::text as assumed_role, '[]'::text as authenticated_roles,
  null::text as request,
  (select s.output::text from app.run_steps as s
   where r.status = 'SUCCESS' and s.run_id = r.run_id and s.task_key = '' and s.status = 'SUCCESS' and not s.skipped
   order by s.idx desc, s.attempt desc limit 1) as output,
  r.error::text as error,
  (select s.worker from app.run_steps as s where s.run_id = r.run_id and s.worker is not null order by s.started_at desc nulls last limit 1) as executor_id,
  floor(extract(epoch from r.created_at) * 1000)::bigint as created_at,
  floor(extract(epoch from greatest(r.updated_at, (
    select max(greatest(s.started_at, s.ended_at)) from app.run_steps as s where s.run_id = r.run_id and s.task_key = ''))) * 1000)::bigint as updated_at,
  r.app_version as application_version, ''::text as application_id, null::text as class_name, null::text as config_name,
  (select count(*) from app.run_steps as s where s.run_id = r.run_id and s.lost) as recovery_attempts,
  r.queue_name, r.timeout_ms as workflow_timeout_ms,
  (select floor(extract(epoch from max(m.fire_at)) * 1000)::bigint from app.timers as m
   where r.timeout_ms is not null and m.run_id = r.run_id and m.kind = 'run_timeout') as workflow_deadline_epoch_ms,
  floor(extract(epoch from r.started_at) * 1000)::bigint as started_at_epoch_ms, null::text as deduplication_id, i.body::text as inputs, r.priority,
  nullif(r.partition_key, '') as queue_partition_key, r.forked_from
from app.runs as r join app.recipes as c on c.recipe_id = r.recipe_id join app.intents as i on i.intent_id = r.intent_id;
comment on view dbos.workflow_status is
  'Runs: name is the recipe, inputs the intent, output that of the last step, executor_id the worker seen last, recovery_attempts the attempts that lost their worker.';

create or replace view dbos.operation_outputs as
select s.run_id as workflow_uuid, s.idx as function_id, s.step_id as function_name, s.output::text as output, s.error::text as error,
  null::text as child_workflow_id,
  floor(extract(epoch from s.started_at) * 1000)::bigint as started_at_epoch_ms, floor(extract(epoch from s.ended_at) * 1000)::bigint as completed_at_epoch_ms
from app.run_steps as s
where s.task_key = '' and s.status in ('SUCCESS', 'ERROR')
  and not exists (
    select from app.run_steps as n where n.run_id = s.run_id and n.idx = s.idx and n.task_key = '' and n.attempt > s.attempt);
comment on view dbos.operation_outputs is
  'Steps that have ended, the latest attempt of each: output or error as JSON text. The tasks of a step are in its output.';
