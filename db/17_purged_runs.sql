-- Purged runs: what stays of a run when its history goes. An identity is used once for ever: started again, a purged run is a replay.

create table app.purged_runs (
  run_id    text collate "C" primary key,
  root_id   text collate "C",
  header    jsonb not null,
  arguments jsonb not null,
  purged_at timestamptz not null
);
create index purged_forks_of_a_root on app.purged_runs (root_id) where root_id is not null;
create index purged_newest_first on app.purged_runs (purged_at desc);
comment on table app.purged_runs is 'Tombstones: written only by app.purge_runs, never changed, never deleted. Intents stay, too.';
comment on column app.purged_runs.run_id is 'The run that was; it is in app.runs no more.';
comment on column app.purged_runs.root_id is 'Where its forks began: fork ids go on counting.';
comment on column app.purged_runs.header is 'The last header of the run.';
comment on column app.purged_runs.arguments is 'What it was started with, as columns of app.runs: another start of the same id is drift where they differ.';
comment on column app.purged_runs.purged_at is 'When it was purged (engine clock); the OPS artifact of retention/purge of that instant says by whom.';

create table app.loose_bodies (
  sha256   text primary key,
  freed_at timestamptz not null
);
create index loose_bodies_in_order on app.loose_bodies (freed_at, sha256);
comment on table app.loose_bodies is 'Contents that lost an artifact: looked at once more, and deleted where no other refers to them.';
comment on column app.loose_bodies.sha256 is 'Key in app.artifact_blobs.';
comment on column app.loose_bodies.freed_at is 'When it lost an artifact (engine clock).';
