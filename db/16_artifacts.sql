-- Artifacts: what steps leave behind. As in 10_run_steps, their run is checked per statement. Small JSON sits in the row, bodies are stored once per content.

create table app.artifact_blobs (
  sha256 text primary key,
  body   bytea not null
);
comment on table app.artifact_blobs is 'Bodies, stored once per content.';
comment on column app.artifact_blobs.sha256 is 'Hex sha256 of body.';
comment on column app.artifact_blobs.body is 'The bytes.';

insert into app.artifact_blobs (sha256, body)
values ('140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe', convert_to('none', 'UTF8'));

create table app.artifacts (
  artifact_id bigint generated always as identity primary key,
  run_id      text collate "C" not null,
  step_id     text not null,
  step_idx    integer,
  task_key    text not null default '',
  attempt     integer not null default 1,
  idx         integer not null,
  kind        text not null,
  name        text not null,
  media_type  text not null,
  size        bigint not null,
  sha256      text not null,
  inline      jsonb,
  created_at  timestamptz not null,
  constraint an_artifact_has_the_hash_of_its_bytes check (length(sha256) = 64),
  constraint an_empty_step_leaves_artifact_999 check ((kind = 'none') = (idx = 999))
);
create index artifacts_of_a_run on app.artifacts (run_id);
create index artifacts_of_a_content on app.artifacts (sha256) where inline is null and kind <> 'none';
comment on table app.artifacts is 'Artifacts of step attempts, in order; kind none when a finished step produced nothing.';
comment on column app.artifacts.artifact_id is 'Key; GET /api/artifacts/:id.';
comment on column app.artifacts.run_id is 'The run; queue/<name> or schedule/<name> for a control action on one of those, retention/purge for purges.';
comment on column app.artifacts.step_id is 'Step that made it; OPS for a control action.';
comment on column app.artifacts.step_idx is 'Index of that step; null for OPS.';
comment on column app.artifacts.task_key is 'Task that made it; empty for the step itself.';
comment on column app.artifacts.attempt is 'Attempt that made it.';
comment on column app.artifacts.idx is 'Position among the artifacts of the attempt; 999 for kind none.';
comment on column app.artifacts.kind is 'artifact_index, plan_card, patch, decision, file, stdout, stderr, timings, json_diagnostic, none, or a handler''s own.';
comment on column app.artifacts.name is 'File name.';
comment on column app.artifacts.media_type is 'Media type of the body.';
comment on column app.artifacts.size is 'Bytes.';
comment on column app.artifacts.sha256 is 'Hex sha256 of the bytes; of an inline artifact, of its canonical JSON.';
comment on column app.artifacts.inline is 'The content, when it is JSON kept in the row; else it is in app.artifact_blobs.';
comment on column app.artifacts.created_at is 'When it was committed (engine clock).';

create type app.artifact_content as (
  artifact_id bigint,
  run_id      text,
  step_id     text,
  step_idx    integer,
  task_key    text,
  attempt     integer,
  idx         integer,
  kind        text,
  name        text,
  media_type  text,
  size        bigint,
  sha256      text,
  body        bytea
);
comment on type app.artifact_content is 'An artifact with its bytes.';

create table app.mock_receipts (
  run_id     text collate "C" not null references app.runs,
  task_key   text not null,
  seen_count integer not null default 1,
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  primary key (run_id, task_key)
);
create index receipts_seen_otherwise on app.mock_receipts (run_id) where seen_count <> 1;
comment on table app.mock_receipts is 'One row per task whose result from the mock sandbox was committed: seen_count is 1 for ever.';
comment on column app.mock_receipts.run_id is 'The run.';
comment on column app.mock_receipts.task_key is 'The task.';
comment on column app.mock_receipts.seen_count is 'Committed executions; more than 1 breaks a law.';
comment on column app.mock_receipts.first_seen is 'First commit.';
comment on column app.mock_receipts.last_seen is 'Last commit.';
