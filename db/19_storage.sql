-- Storage: how the hot tables are kept tidy. The queue tables of pgmq have theirs from app.ensure_queues.
--
-- The defaults of autovacuum wait for a fifth of a table to change. On a million runs that is days, while the few rows that are under way,
-- and the dead entries they leave in backlog_in_line, timers_due, open_gates and the open end of runs_by_status_newest_first, stay in every
-- claim's way. So these are vacuumed after a fiftieth, and what is only appended to soon after it was written, while it is in memory.

alter table app.runs set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05);
alter table app.run_steps set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05);
alter table app.artifacts set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
alter table app.timers set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table app.gates set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table app.loose_bodies set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- a heartbeat changes no index: with room in the page it is a HOT update
alter table app.workers set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
