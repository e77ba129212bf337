-- Ends of runs, for the collector of traces.

comment on column app.settings.key is 'default_recipe, oc_mode, sbx_mode, app_version, test_database; clock_offset (seconds; only app.advance writes it); code_hash, code_objects (the replay); traces_until (epoch seconds; only app.take_ends writes it)';

create table app.run_ends (
  end_id      bigint generated always as identity primary key,
  run_id      text collate "C" not null,
  status      text not null,
  error       jsonb,
  reopened_at timestamptz,
  ended_at    timestamptz not null,
  noted_at    timestamptz not null default clock_timestamp(),
  taken_at    timestamptz
);
comment on table app.run_ends is 'Ends of runs that no runner has reported to the collector of traces yet. Empty where nobody collects.';
comment on column app.run_ends.end_id is 'Key, in order.';
comment on column app.run_ends.run_id is 'The run.';
comment on column app.run_ends.status is 'How it ended: it may be under way again by now.';
comment on column app.run_ends.error is '{code, message}, or null.';
comment on column app.run_ends.reopened_at is 'When what ended had begun, where the run was resumed or repaired before.';
comment on column app.run_ends.ended_at is 'When it ended (engine clock).';
comment on column app.run_ends.noted_at is 'When the row was made (real clock): an hour later it is of no use.';
comment on column app.run_ends.taken_at is 'When a runner took it to send it (real clock); half a minute later another may.';
