-- Each law of v_invariants, broken on purpose, shows its row; unbroken, none does.
begin;
select plan(46);

select app_test.a_recipe(), app_test.the_four_steps(), app_test.a_recipe('r', '[{"retry": {"maxAttempts": 2, "backoff": {"initialMS": 1000}, "retryableCodes": ["infra"]}}]') \g /dev/null
select app_test.a_run_at('approve-plan', 'at the gate') as gate \gset
select app_test.a_run_at('ExecuteST', 'fanned out') as fan \gset
select app_test.finish_step('{"tasks": [1, 2, 3]}') \g /dev/null
select app_test.finish_step('{"receipt": true}', 'sbxQ') \g /dev/null
select app_test.a_run('retrying', 'r') as retry \gset
select app_test.fail_step('infra') \g /dev/null
select app_test.a_run('finished') as finished \gset
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select app_test.a_run('working') as working \gset
create temp table lane as select * from app_test.work_once('w5');
select app_test.a_run('in line', options => '{"timeoutMS": 60000}') as line \gset
select app_test.a_recipe('naps', '[{"sleep": {"ms": 60000}}]'), app_test.a_run('naps', 'naps') as nap \gset
select app_test.a_run_at('ExecuteST', 'joined', '{"priority": 0}') as joined \gset
select app_test.finish_step('{"tasks": [1, 2]}'), app_test.finish_step('{"receipt": true, "artifacts": [{"kind": "file", "name": "f", "body": "aGk="}]}', 'sbxQ'), app_test.finish_step('{"receipt": true}', 'sbxQ') \g /dev/null
select app_test.a_run('mended', options => '{"priority": 0}') as mended \gset
select app_test.fail_step(), app.repair_run(:'mended', 'ann', 'x'), app_test.fail_step(), app.repair_run(:'mended', 'ann', 'x'), app_test.finish_step(), app_test.finish_step() \g /dev/null
select app_test.a_run('stopped') as stopped \gset
select app.cancel_run(:'stopped', 'ann', 'x') \g /dev/null
select app.fork_run(:'finished', 1, 'ann', 'once more') ->> 'forkedWorkflowID' as fork \gset
update app.run_steps set priority = 0 where run_id = :'fork' and status = 'ENQUEUED';
select app_test.finish_step() \g /dev/null
select app_test.a_schedule('nightly'), app_test.a_schedule('resting'), app.pause_schedule('resting', 'ann', 'x'),
  app_test.clock_to(date_trunc('day', app.now()) + interval '3 days 3 hours'), app.fire_schedules() \g /dev/null
select run_id as ticked from app.schedule_ticks where outcome = 'started' \gset
select is_empty('select * from app.v_invariants', 'one run of each kind: healthy');

-- the laws broken by a statement, which is undone
create function pg_temp.broken_by(statement text) returns text language plpgsql as $$
declare
  laws text;
begin
  begin
    execute statement;
    select string_agg(distinct law || ' ' || run_id, '; ' order by law || ' ' || run_id) into laws from app.v_invariants;
    raise exception 'undo';
  exception when raise_exception then
    null;
  end;
  return laws;
end $$;
create temp table broken (law text, run_id text, statement text);
insert into broken values
  ('a receipt is seen once', :'fan', format('update app.mock_receipts set seen_count = 2 where run_id = %L', :'fan')),
  ('a terminal run has no step in line', :'line', format('update app.timers set closed_at = now() where run_id = %1$L; update app.runs set status = ''ERROR'', error = ''{}'', ended_at = now() where run_id = %1$L', :'line')),
  ('a terminal run has no open gate', :'gate', format('update app.runs set status = ''ERROR'', error = ''{}'', ended_at = now() where run_id = %L', :'gate')),
  ('a terminal run has no timer', :'retry', format('update app.runs set status = ''ERROR'', error = ''{}'', ended_at = now() where run_id = %L', :'retry')),
  ('a timer never fires early', :'line', format('update app.timers set fired_at = fire_at - interval ''1 ms'' where run_id = %L', :'line')),
  ('a waiting run has an open gate', :'gate', format('update app.gates set status = ''CLOSED'' where run_id = %L', :'gate')),
  ('a working run can go on', :'line', format('delete from app.run_steps where run_id = %L', :'line')),
  ('a working run can go on', :'retry', format('update app.timers set closed_at = now() where run_id = %L', :'retry')),
  ('a running step has a lease', :'working', 'select app.drop_leases(''intentQ'', array_agg(msg_id)) from lane'),
  ('a lease has a running step', :'line', format('select app.send_leases(''intentQ'', array[jsonb_build_object(''runId'', %L, ''taskKey'', '''')], 30)', :'line')),
  ('a lease has a worker', :'working', 'delete from app.workers where worker = ''w5'''),
  ('a step waits for exactly its open tasks', :'fan', format('update app.run_steps set tasks_open = 3 where run_id = %L and tasks_open > 0', :'fan')),
  ('only one attempt of a step is open', :'line', format('insert into app.run_steps select (jsonb_populate_record(s, ''{"attempt": 2}'')).* from app.run_steps as s where run_id = %L', :'line')),
  ('a step that ended well left an artifact', :'finished', format('delete from app.artifacts where run_id = %L and step_idx = 1', :'finished')),
  ('a terminal run waits for no task', :'fan', format('update app.run_steps set status = ''CANCELLED'', queue_seq = null, ended_at = now() where run_id = %1$L and queue_seq is not null;
    update app.runs set status = ''ERROR'', error = ''{}'', ended_at = now() where run_id = %1$L', :'fan')),
  ('a cached step is what its source made', :'fork', format('alter table app.run_steps disable trigger user; update app.run_steps set output = ''1'' where run_id = %L and cached_from is not null', :'fork')),
  ('who paused a queue is on record', 'queue/sbxQ', 'update app.queues set paused_at = now(), paused_by = ''ann'', pause_reason = ''x'' where queue_name = ''sbxQ'''),
  ('a queue runs no more than its limit', 'queue/intentQ', 'alter table app.queues drop constraint a_limit_lets_something_run; alter table app.partitions drop constraint a_partition_lets_something_run; update app.queues set max_running = 0, limits_at = ''-infinity'' where queue_name = ''intentQ'''),
  ('a partition runs no more than its limit', 'queue/intentQ/', 'alter table app.queues drop constraint a_limit_lets_something_run; alter table app.partitions drop constraint a_partition_lets_something_run; update app.queues set limits_at = ''-infinity''; insert into app.partitions (queue_name, partition_key, max_running, limits_at) values (''intentQ'', '''', 0, ''-infinity'')'),
  ('a worker runs no more than its limit', 'queue/intentQ', 'alter table app.queues drop constraint a_limit_lets_something_run; alter table app.partitions drop constraint a_partition_lets_something_run; update app.queues set max_running_per_worker = 0, limits_at = ''-infinity'' where queue_name = ''intentQ'''),
  ('no window holds more tokens than the rate', 'queue/sbxQ', 'update app.queues set rate_limit = 1, rate_seconds = 9, limits_at = ''-infinity''; insert into app.rate_tokens values (''sbxQ'', '''', app.now(), 1), (''sbxQ'', ''p'', app.now(), 1), (''intentQ'', '''', app.now(), 1)'),
  ('no window of a partition holds more tokens than its rate', 'queue/sbxQ/p', 'update app.queues set rate_limit_per_partition = 1, rate_seconds_per_partition = 9, limits_at = ''-infinity''; insert into app.rate_tokens values (''sbxQ'', '''', app.now(), 1), (''sbxQ'', ''p'', app.now(), 2)'),
  ('who paused a partition is on record', 'queue/sbxQ/p', 'insert into app.partitions (queue_name, partition_key, paused_at, paused_by, pause_reason) values (''sbxQ'', ''p'', now(), ''ann'', ''x'')'),
  ('a parked step will wake', :'nap', format('update app.timers set closed_at = now() where run_id = %L', :'nap')),
  ('a step begins after what it needs', :'line', format('insert into app.run_steps select (jsonb_populate_record(s, ''{"idx": 1, "step_id": "S1"}'')).* from app.run_steps as s where run_id = %L', :'line')),
  ('a step succeeds once', :'finished', format('insert into app.run_steps select (jsonb_populate_record(s, ''{"attempt": 2}'')).* from app.run_steps as s where run_id = %L and idx = 0', :'finished')),
  ('attempts count without a gap', :'mended', format('alter table app.run_steps disable trigger user; delete from app.run_steps where run_id = %L and attempt = 1 and idx = 0', :'mended')),
  ('a step is tried no more often than its recipe says', :'mended', format('update app.runs set reopened_at = null where run_id = %L', :'mended')),
  ('a step succeeds with all its tasks', :'joined', format('alter table app.run_steps disable trigger user; update app.run_steps set status = ''ERROR'', error = ''{}'' where run_id = %1$L and task_idx = 0; delete from app.mock_receipts where run_id = %1$L', :'joined')),
  ('a receipt is of a task that succeeded', :'joined', format('insert into app.mock_receipts (run_id, task_key, first_seen, last_seen) values (%L, ''nothing'', now(), now())', :'joined')),
  ('an answered gate has its reply', :'joined', format('delete from app.gate_replies where run_id = %L', :'joined')),
  ('an artifact has its bytes', :'joined', 'set session_replication_role = replica; delete from app.artifact_blobs where body = ''hi''; set session_replication_role = origin'),
  ('who reopened a run is on record', :'mended', format('delete from app.artifacts where run_id = %L and step_id = ''OPS''', :'mended')),
  ('who cancelled a run is on record', :'stopped', format('delete from app.artifacts where run_id = %L and step_id = ''OPS''', :'stopped')),
  ('a run bears the name of its intent', :'joined', format('alter table app.runs disable trigger a_run_keeps_its_origin; update app.runs set intent_id = %L where run_id = %L', :'finished', :'joined')),
  ('an intent bears the name of its content', :'joined', format('alter table app.intents disable trigger an_intent_stays; update app.intents set body = body || ''{"goal": "another"}'' where intent_id = %L', :'joined')),
  ('a started tick has its run', :'ticked', 'update app.schedule_ticks set tick_at = tick_at - interval ''1 minute'' where outcome = ''started'''),
  ('a run tells its tick once', :'ticked', format('insert into app.artifacts (run_id, step_id, idx, kind, name, media_type, size, sha256, inline, created_at) select run_id, step_id, idx, kind, name, media_type, size, sha256, inline, created_at from app.artifacts where run_id = %L and step_id = ''ScheduledTick''', :'ticked')),
  ('a skipped tick did not start', :'ticked', 'update app.schedule_ticks set tick_at = tick_at + interval ''1441 minutes'', fired_at = fired_at + interval ''1441 minutes'' where outcome = ''skipped'''),
  ('the next tick is not decided yet', :'ticked', 'update app.schedules set next_at = last_tick_at, last_tick_at = null'),
  ('who paused a schedule is on record', 'schedule/resting', 'delete from app.artifacts where run_id = ''schedule/resting'' and name = ''pause.json'''),
  ('a purged run is gone', :'finished', format('insert into app.purged_runs values (%L, null, ''{}'', ''{}'', now())', :'finished')),
  ('a run succeeds with all its steps', :'retry', format('update app.timers set closed_at = now() where run_id = %1$L; update app.runs set status = ''SUCCESS'', ended_at = now() where run_id = %1$L', :'retry'));
select is(pg_temp.broken_by(statement), law || ' ' || run_id, law || ': ' || split_part(statement, ' ', 1)) from broken;
select set_eq('select law from broken', $$select m[1] from regexp_matches(pg_get_viewdef('app.v_open_laws'::regclass) || pg_get_viewdef('app.v_ended_laws'::regclass) || pg_get_viewdef('app.v_schedule_laws'::regclass) || pg_get_viewdef('app.v_queue_laws'::regclass), 'SELECT ''([^'']+)''::text', 'g') as m$$, 'every law was broken');
select is_empty('select * from app.v_invariants', 'and mended');
rollback;
