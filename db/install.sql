-- The contents page of the engine, and its one load order: psql reads it here, migrations/replay.py reads the same lines.
--
--   psql -v ON_ERROR_STOP=1 -f db/install.sql        into a database that has pgmq (create extension pgmq, or pgmq's own SQL)
--
-- A file's number says how it may change. 00-19 is state: tables, which change only through a revision in migrations/.
-- 20-90 is code: create or replace, replayed whole after every upgrade.

\set ON_ERROR_STOP on
begin;

-- state
\ir 00_schema.sql
\ir 02_queues.sql
\ir 04_recipes.sql
\ir 06_intents.sql
\ir 08_runs.sql
\ir 10_run_steps.sql
\ir 12_gates.sql
\ir 14_timers.sql
\ir 15_schedules.sql
\ir 16_artifacts.sql
\ir 17_purged_runs.sql
\ir 18_workers.sql
\ir 19_run_ends.sql
\ir 19_storage.sql

-- foundations
\ir 20_errors.sql
\ir 21_clock.sql
\ir 22_canonical_json.sql
\ir 24_pgmq.sql
\ir 26_arguments.sql
\ir 27_faults.sql
\ir 28_guards.sql

-- the callers' verbs
\ir 30_intents.sql
\ir 32_recipes.sql
\ir 34_runs.sql
\ir 36_reads.sql

-- the runners' verbs
\ir 38_results.sql
\ir 40_work.sql
\ir 41_looks.sql
\ir 42_transitions.sql
\ir 43_steps.sql
\ir 44_admission.sql
\ir 45_limits.sql
\ir 46_gates.sql
\ir 47_leases.sql
\ir 48_timers.sql
\ir 50_fan_out.sql
\ir 52_artifacts.sql
\ir 54_workers.sql
\ir 55_checkpoints.sql
\ir 56_cron.sql
\ir 57_schedules.sql
\ir 58_ticks.sql
\ir 59_traces.sql

-- what a person may do
\ir 60_control.sql
\ir 62_queues.sql
\ir 64_batches.sql
\ir 66_fork_diff.sql
\ir 68_retention.sql

-- oracles, laws, rights
\ir 80_views.sql
\ir 81_invariants.sql
\ir 82_explain.sql
\ir 84_http.sql
\ir 85_dbos.sql
\ir 86_pages.sql
\ir 87_board.sql
\ir 90_grants.sql

select app.ensure_queues();
commit;
