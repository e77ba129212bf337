-- Schedules: runs that start by the clock. A tick is an instant that the cron expression of a schedule names; its key makes it happen once.

create table app.schedules (
  name          text primary key,
  cron          text not null,
  timezone      text not null default 'UTC',
  intent        jsonb not null,
  options       jsonb not null default '{}',
  catch_up      text not null default 'skip',
  catch_up_cap  integer not null default 100,
  grace_seconds integer not null default 60,
  next_at       timestamptz,
  owed_until    timestamptz,
  last_tick_at  timestamptz,
  last_error    jsonb,
  paused_at     timestamptz,
  paused_by     text,
  pause_reason  text,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  constraint a_schedule_has_a_plain_name check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'),
  constraint a_missed_tick_is_skipped_or_caught_up check (catch_up in ('skip', 'one', 'all')),
  constraint catching_up_is_capped check (catch_up_cap between 1 and 1000),
  constraint grace_lasts_at_most_a_day check (grace_seconds between 0 and 86400),
  constraint a_paused_schedule_says_who_and_why check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_reason is null)),
  constraint a_paused_schedule_has_no_next_tick check (paused_at is null or next_at is null),
  constraint a_schedule_owes_ticks_from_its_next_on check (owed_until >= next_at),
  constraint a_schedule_goes_forward check (next_at > last_tick_at)
);
create index schedules_due on app.schedules (next_at) where next_at is not null;
comment on table app.schedules is 'Schedules: an intent that is started again and again, by a cron expression. Whoever is alive fires them.';
comment on column app.schedules.name is 'Name.';
comment on column app.schedules.cron is 'Five fields (minute, hour, day of month, month, day of week) or a macro, as in crontab(5).';
comment on column app.schedules.timezone is 'Time zone in which the fields are read.';
comment on column app.schedules.intent is 'Intent of every run; its inputs also get scheduledTick {schedule, at}, so that each tick is an intent of its own.';
comment on column app.schedules.options is 'Options of app.start_run.';
comment on column app.schedules.catch_up is 'What becomes of ticks that are found later than grace_seconds: skip starts none, one the newest, all every one.';
comment on column app.schedules.catch_up_cap is 'With all: only so many of them, the newest.';
comment on column app.schedules.grace_seconds is 'A tick that is found no later than this is on time.';
comment on column app.schedules.next_at is 'The first tick that nothing was decided about (engine clock); null while paused, or when there is none any more.';
comment on column app.schedules.owed_until is 'Ticks from next_at up to here were decided to start, and start a few at a time; null when there are none.';
comment on column app.schedules.last_tick_at is 'The last tick that something was decided about.';
comment on column app.schedules.last_error is '{code, message, sqlstate, tickAt} of the last tick that could not start; null again after one that did.';
comment on column app.schedules.paused_at is 'Since when no tick starts; null while the schedule is on.';
comment on column app.schedules.paused_by is 'Who paused it.';
comment on column app.schedules.pause_reason is 'Why.';
comment on column app.schedules.created_at is 'When it was first put (engine clock).';
comment on column app.schedules.updated_at is 'When somebody last changed it; ticks do not count.';

create table app.schedule_ticks (
  name          text not null,
  tick_at       timestamptz not null,
  outcome       text not null,
  run_id        text collate "C" references app.runs,
  fired_at      timestamptz not null,
  error         jsonb,
  first_tick_at timestamptz,
  primary key (name, tick_at),
  constraint a_run_is_of_one_tick unique (run_id),
  constraint a_tick_is_started_skipped_or_refused check (outcome in ('started', 'skipped', 'refused')),
  constraint a_started_tick_names_its_run check ((outcome = 'started') = (run_id is not null)),
  constraint a_refused_tick_says_why check ((outcome = 'refused') = (error is not null)),
  constraint a_skipped_row_is_a_stretch_of_ticks check ((outcome = 'skipped') = (first_tick_at is not null) and first_tick_at <= tick_at),
  constraint a_tick_never_fires_early check (fired_at >= tick_at)
);
comment on table app.schedule_ticks is 'What became of the ticks of schedules, by name: kept when the schedule is deleted. A stretch of skipped ticks is one row.';
comment on column app.schedule_ticks.name is 'The schedule.';
comment on column app.schedule_ticks.tick_at is 'The tick; of skipped ones, the last of the stretch.';
comment on column app.schedule_ticks.outcome is 'started, skipped or refused.';
comment on column app.schedule_ticks.run_id is 'The run that it started.';
comment on column app.schedule_ticks.fired_at is 'When it was decided (engine clock).';
comment on column app.schedule_ticks.error is '{code, message, sqlstate} of a refused one.';
comment on column app.schedule_ticks.first_tick_at is 'Of skipped ones: the first of the stretch.';

create type app.cron as (
  minutes   integer[],
  hours     integer[],
  days      integer[],
  months    integer[],
  weekdays  integer[],
  any_day   boolean,
  real_time boolean
);
comment on type app.cron is 'A cron expression, read: the values of its fields; any_day, whether day of month or day of week suffices; real_time, whether it counts hours that a clock change repeats.';
