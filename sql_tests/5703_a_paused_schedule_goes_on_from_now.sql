-- Paused, nothing of a schedule starts; unpaused, it goes on from now; deleted, its history stays. Each call is audited, a dry run writes nothing.
begin;
select plan(32);

select app_test.clock_to('2032-01-01 00:30Z'), app_test.a_schedule('hourly', '@hourly', '{"catchUp": "all"}'), app_test.clock_to('2032-01-01 01:00Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 1::bigint, 'it ticks');
select app_test.clock_to('2032-01-01 02:30Z') \g /dev/null
create temp table before as select app_test.everything() as hash;
select is(app.pause_schedule('hourly', 'ann', 'holiday', true), '{"accepted": true, "name": "hourly", "paused": true, "nextAt": null, "dryRun": true}', 'a dry run');
select is(app_test.everything(), hash, 'writes nothing') from before;
select is(app.pause_schedule('hourly', 'ann', 'holiday'), '{"accepted": true, "name": "hourly", "paused": true, "nextAt": null, "dryRun": false}', 'paused');
select is((paused_at >= '2032-01-01 02:30Z', paused_by, pause_reason, next_at)::text, '(t,ann,holiday,)', 'by whom and why') from app.schedules;
select is(health, 'paused', 'the view says so') from app.v_schedules;
select is(ticks_after, '{}', 'and expects nothing') from app.v_schedules;
select app_test.recover(), app_test.clock_to('2032-01-03 00:10Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 1::bigint, 'what was due and what comes does not start');
select is(app_test.error_of($$select app.pause_schedule('hourly', 'bob', 'x')$$) - array['message', 'sqlstate'], '{"code": "schedule_paused", "status": "paused", "hint": "select app.unpause_schedule(''hourly'', actor => ''me'', reason => ''…'')"}', 'twice is refused');
select is(app_test.error_of($$select app.pause_schedule('hourly', 'bob', 'x')$$) ->> 'message', 'schedule hourly is paused already, by ann: holiday', 'which tells who did it');
select app_test.a_schedule('hourly', '30 * * * *', '{"catchUp": "all"}') \g /dev/null
select is((cron, next_at, paused_by)::text, '("30 * * * *",,ann)', 'it can be changed and stays paused') from app.schedules;
select app_test.a_schedule('hourly', '@hourly', '{"catchUp": "all"}') \g /dev/null

create temp table later as select app_test.everything() as hash;
select is(app.unpause_schedule('hourly', 'bob', 'back', true) -> 'nextAt', to_jsonb(app.epoch_ms('2032-01-03 01:00Z')), 'a dry run tells when it will tick');
select is(app_test.everything(), hash, 'and writes nothing') from later;
select is(app.unpause_schedule('hourly', 'bob', 'back'), '{"accepted": true, "name": "hourly", "paused": false, "nextAt": 1956704400000, "dryRun": false}', 'unpaused');
select is((paused_at, paused_by, pause_reason, next_at)::text, '(,,,"2032-01-03 01:00:00+00")', 'from now on') from app.schedules;
select app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 1::bigint, 'nothing is caught up');
select app_test.clock_to('2032-01-03 01:00Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 2::bigint, 'it ticks again');
select is((select array_agg(outcome) from app.schedule_ticks), array['started', 'started'], 'the pause is no row');

-- in the middle of catching up
select app_test.clock_to('2032-01-04 01:30Z'), app_test.recover() \g /dev/null
select is((health, owed_until is not null)::text, '("catching up",t)', 'some are owed') from app.v_schedules join app.schedules using (name);
select app.pause_schedule('hourly', 'ann', 'enough'), app.unpause_schedule('hourly', 'ann', 'again'), app_test.recover() \g /dev/null
select is((owed_until, next_at)::text, '(,"2032-01-04 02:00:00+00")', 'a pause ends that') from app.schedules;
select is((select count(*) from app.runs), 12::bigint, 'ten had started');

select is(app.delete_schedule('hourly', 'ann', 'over', true), '{"accepted": true, "name": "hourly", "dryRun": true}', 'a dry run');
select is((select count(*) from app.schedules), 1::bigint, 'deletes nothing');
select is(app.delete_schedule('hourly', 'ann', 'over'), '{"accepted": true, "name": "hourly", "dryRun": false}', 'deleted');
select app_test.clock_to('2032-01-05 00:30Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 12::bigint, 'nothing ticks any more');
select is((select count(*) from app.schedule_ticks), 12::bigint, 'what it did is kept');
select is((select array_agg(inline ->> 'op' order by artifact_id) from app.artifacts where step_id = 'OPS'), array['put', 'pause', 'put', 'put', 'unpause', 'pause', 'unpause', 'delete'], 'so is who did what');
select is(inline #>> '{schedule,cron}', '@hourly', 'and what it was, to put it again') from app.artifacts where inline ->> 'op' = 'delete';
select app_test.a_schedule('hourly', '@hourly'), app_test.clock_to('2032-01-05 01:00Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 13::bigint, 'put again, it ticks again');
select is((select array_agg(idx order by artifact_id) from app.artifacts where step_id = 'OPS'), array[0, 1, 2, 3, 4, 5, 6, 7, 8], 'one trail');
select is(jsonb_array_length(app.list_artifacts('schedule/hourly')), 9, 'list_artifacts has it');
select is_empty('select * from app.v_invariants');
rollback;
