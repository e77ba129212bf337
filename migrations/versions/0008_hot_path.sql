-- Hot path: a result carries what its next step copies from it, starts are read once, and the intent and the recipe of new runs are looked up once per statement
-- (chapter 28) instead of three times per row.

alter type app.lane_result add attribute app_version text, add attribute partition_key text, add attribute priority integer;

alter table app.runs
  drop constraint runs_intent_id_fkey,
  drop constraint runs_recipe_id_fkey,
  drop constraint runs_queue_name_fkey;

create type app.start_request as (
  ord            bigint,
  run_id         text,
  recipe_name    text,
  recipe_version integer,
  recipe_id      bigint,
  recipe_status  text,
  queue_name     text,
  partition_key  text,
  lane           text,
  priority       integer,
  workload       jsonb,
  budget         jsonb,
  timeout_ms     bigint,
  trace_id       text,
  tenant_id      text,
  app_version    text,
  oc_mode        text,
  sbx_mode       text,
  started_by     text,
  is_chain       boolean
);
comment on type app.start_request is 'One start as it was asked for, with its defaults, and the recipe version it would take.';
