-- A tick becomes an intent of its own and a run of it, on time, once; the run is like any other.
begin;
select plan(33);

select app_test.clock_to('2032-01-01 00:30Z'), app_test.a_schedule('hourly', '@hourly', '{"options": {"recipeName": "plain", "lane": "batch", "timeoutMS": 60000}}') \g /dev/null
create temp table before as select app_test.everything() as hash;
select app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 0::bigint, 'nothing is due');
select app_test.clock_to('2032-01-01 00:59:59.5Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 0::bigint, 'not early');
select app_test.clock_to('2032-01-01 01:00:02Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 1::bigint, 'then it starts');
create temp table after as select app_test.everything() as hash;
select app_test.recover(), app_test.recover('w8') \g /dev/null
select is((select count(*) from app.runs), 1::bigint, 'once');
select is((next_at, owed_until, last_tick_at, last_error)::text, '("2032-01-01 02:00:00+00",,"2032-01-01 01:00:00+00",)', 'the schedule goes on') from app.schedules;
select run_id from app.runs \gset
select is((name, tick_at, outcome, run_id, error, first_tick_at)::text, format('(hourly,"2032-01-01 01:00:00+00",started,%s,,)', :'run_id'), 'the tick is written down') from app.schedule_ticks;
select is(fired_at between '2032-01-01 01:00:02Z' and '2032-01-01 01:00:32Z', true, 'when it was fired') from app.schedule_ticks;

-- the run
select is(body, '{"goal": "g", "inputs": {"n": 1, "scheduledTick": {"schedule": "hourly", "at": "2032-01-01T01:00:00Z"}}, "constraints": {}}', 'the intent has the tick among its inputs') from app.intents;
select is(:'run_id', app.intent_id(body), 'the run is named by it') from app.intents;
select is((lane, priority, timeout_ms, started_by)::text, '(batch,1000,60000,schedule/hourly)', 'it was started with the options, by the schedule') from app.runs;
select is((select count(*) from app.timers where kind = 'run_timeout'), 1::bigint, 'its timeout runs');
select is(app.start_run(:'run_id', '{"recipeName": "plain", "lane": "batch", "timeoutMS": 60000}') -> 'isReplay', 'true', 'starting it by hand is a replay');
select is(app_test.error_of(format('select app.start_run(%L, ''{"recipeName": "plain"}'')', :'run_id')) ->> 'code', 'drift', 'or drift');
select is(to_jsonb(a) - array['artifact_id', 'run_id', 'inline', 'size', 'sha256', 'created_at'],
  '{"step_id": "ScheduledTick", "step_idx": null, "task_key": "", "attempt": 1, "idx": 0, "kind": "json_diagnostic", "name": "scheduled-tick.json", "media_type": "application/json"}', 'an artifact tells its tick') from app.artifacts as a where run_id = :'run_id';
select is(inline - array['firedAt', 'lateMS'], '{"schedule": "hourly", "at": "2032-01-01T01:00:00Z", "catchUp": false}', 'which one') from app.artifacts where run_id = :'run_id';
select matches(inline ->> 'firedAt', '^2032-01-01T01:00:[0-3][0-9]\.[0-9]{3}Z$', 'when it fired') from app.artifacts where run_id = :'run_id';
select is((inline -> 'lateMS')::bigint between 2000 and 32000, true, 'and how late that was') from app.artifacts where run_id = :'run_id';
select is(a.sha256, encode(sha256(g.body), 'hex'), 'its hash is that of its bytes') from app.artifacts as a cross join lateral app.get_artifact(a.artifact_id) as g where a.run_id = :'run_id';
select is((select jsonb_agg(s ->> 'stepID') from jsonb_array_elements(app.get_steps(:'run_id')) as s), '["S0"]', 'it is no step');
select is((select jsonb_agg(a ->> 'stepID') from jsonb_array_elements(app.list_artifacts(:'run_id')) as a), '["ScheduledTick"]', 'but an artifact of the run');
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'the run goes its way');
select is((select jsonb_agg(a ->> 'stepID') from jsonb_array_elements(app.list_artifacts(:'run_id')) as a), '["S0", "S1", "ScheduledTick"]', 'and leaves what steps leave');
select is((last_outcome, last_run_id, last_run_status, health)::text, format('(started,%s,SUCCESS,ok)', :'run_id'), 'the view knows') from app.v_schedules;

-- several at once, claimed by the call that starts them
select app_test.a_schedule('even', '0 */2 * * *') \g /dev/null
select app_test.clock_to('2032-01-01 02:00Z') \g /dev/null
select is((select count(*) from app_test.work_once('w9', 'intentQ', 5, '{"recover": true}')), 2::bigint, 'the call that starts runs may claim them');
select is((select array_agg(name order by name) from app.schedule_ticks where tick_at = '2032-01-01 02:00Z'), array['even', 'hourly'], 'a tick of each');
select is((select count(distinct intent_id) from app.runs), 3::bigint, 'equal ticks of two schedules are two intents');
select app_test.clock_to('2032-01-01 03:00Z') \g /dev/null
select app_test.work_once('w9', 'intentQ', 1) \g /dev/null
select is((select count(*) from app.runs), 3::bigint, 'a call without recover fires nothing');
select app_test.clock_to('2032-01-01 03:00:55Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 4::bigint, 'a tick within the grace is on time');
select is((select inline -> 'catchUp' from app.artifacts where inline ->> 'at' = '2032-01-01T03:00:00Z'), 'false', 'to the end of it');
update app.schedules set next_at = '2032-01-01 01:00Z', last_tick_at = null where name = 'hourly';
select app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 4::bigint, 'a tick that was decided is not decided again, even if somebody turns the schedule back');
select is((select string_agg(outcome, ' ' order by tick_at) from app.schedule_ticks where name = 'hourly'), 'started started started', 'its rows stand');
select is(next_at, '2032-01-01 04:00Z', 'and it finds its way back') from app.schedules where name = 'hourly';
select is_empty('select * from app.v_invariants');
rollback;
