-- Put creates or changes a schedule, audited; the same again is a replay that writes nothing; what is due stays due unless its clock changes.
begin;
select plan(30);

select app_test.clock_to('2032-01-01 00:00Z'), app_test.a_recipe() \g /dev/null
select '{"name": "nightly", "cron": "0 3 * * *", "intent": {"goal": "g", "inputs": {}, "constraints": {}}, "options": {"recipeName": "plain"}}' as body \gset
create temp table before as select app_test.everything() as hash;
select is(app.put_schedule(:'body', 'ann', 'why', dry_run => true), '{"accepted": true, "name": "nightly", "paused": false, "nextAt": 1956538800000, "isNew": true, "isReplay": false, "dryRun": true}', 'a dry run');
select is(app_test.everything(), hash, 'writes nothing') from before;
select is(app.put_schedule(:'body', 'ann', 'why'), '{"accepted": true, "name": "nightly", "paused": false, "nextAt": 1956538800000, "isNew": true, "isReplay": false, "dryRun": false}', 'created');
select is((s.cron, s.timezone, s.options, s.catch_up, s.catch_up_cap, s.grace_seconds)::text, '("0 3 * * *",UTC,"{""recipeName"": ""plain""}",skip,100,60)', 'with its defaults') from app.schedules as s;
select is(next_at, '2032-01-01 03:00Z', 'it will tick') from app.schedules;
select is(to_jsonb(a) - array['artifact_id', 'inline', 'size', 'sha256', 'created_at'], '{"run_id": "schedule/nightly", "step_id": "OPS", "step_idx": null, "task_key": "", "attempt": 1, "idx": 0, "kind": "json_diagnostic", "name": "put.json",
  "media_type": "application/json"}', 'audited') from app.artifacts as a;
select is(inline - array['at', 'schedule', 'reason'], '{"op": "put", "actor": "ann", "target": "schedule/nightly", "targetWorkflowID": null, "from": null}', 'by whom') from app.artifacts;
select is(inline -> 'schedule', :'body'::jsonb || '{"timezone": "UTC", "catchUp": "skip", "catchUpCap": 100, "graceSeconds": 60}', 'and what') from app.artifacts;

create temp table later as select app_test.everything() as hash;
select is(app.put_schedule(:'body', 'bob', 'again') - 'nextAt', '{"accepted": true, "name": "nightly", "paused": false, "isNew": false, "isReplay": true, "dryRun": false}', 'the same again is a replay');
select is(app.put_schedule(:'body'::jsonb || '{"timezone": "UTC", "catchUp": null, "catchUpCap": 100}', 'bob', 'again') -> 'isReplay', 'true', 'with its defaults written out, too');
select is(app_test.everything(), hash, 'which writes nothing') from later;

select app.put_schedule(:'body'::jsonb || '{"cron": "0 4 * * *"}', 'bob', 'later') as changed \gset
select is(:'changed'::jsonb, '{"accepted": true, "name": "nightly", "paused": false, "nextAt": 1956542400000, "isNew": false, "isReplay": false, "dryRun": false}', 'changed');
select is(next_at, '2032-01-01 04:00Z', 'it ticks by the new clock') from app.schedules;
select is(inline #>> '{from,cron}', '0 3 * * *', 'the trail says what it was') from app.artifacts where inline ->> 'actor' = 'bob';
select is((select array_agg(idx order by artifact_id) from app.artifacts where run_id = 'schedule/nightly'), array[0, 1], 'in order');
select app.put_schedule(:'body'::jsonb || '{"cron": "0 4 * * *", "timezone": "Asia/Tokyo"}', 'bob', 'there') \g /dev/null
select is(next_at, '2032-01-01 19:00Z', 'so does another zone') from app.schedules;
select app.put_schedule(:'body'::jsonb || '{"cron": " 0 4 * * * ", "timezone": "Asia/Tokyo", "graceSeconds": 0}', 'bob', 'there') \g /dev/null
select is(cron, '0 4 * * *', 'blanks around it are nothing') from app.schedules;

-- due, and not fired yet
select app_test.clock_to('2032-01-02 00:00Z'), app.put_schedule(:'body'::jsonb || '{"cron": "0 4 * * *", "timezone": "Asia/Tokyo", "catchUp": "all", "catchUpCap": 7, "options": {"recipeName": "plain", "lane": "batch"}}', 'bob', 'x') \g /dev/null
select is(next_at, '2032-01-01 19:00Z', 'what is due stays due when something else changes') from app.schedules;
select is(app.put_schedule(:'body'::jsonb || '{"cron": "0 4 * * *", "timezone": "Asia/Tokyo", "catchUp": "all", "catchUpCap": 7, "options": {"recipeName": "plain", "lane": "batch"}}', 'bob', 'x') -> 'nextAt', to_jsonb(app.epoch_ms('2032-01-01 19:00Z')), 'or nothing');
select app.put_schedule(:'body', 'bob', 'back') \g /dev/null
select is(next_at, '2032-01-02 03:00Z', 'but not when its clock does') from app.schedules;
select is((catch_up, catch_up_cap, options)::text, '(skip,100,"{""recipeName"": ""plain""}")', 'what is left out has its default again') from app.schedules;

select app_test.a_recipe('other'), app.put_setting('default_recipe', '"other"') \g /dev/null
select is(app.put_schedule('{"name": "a.b_c-9", "cron": "@daily", "intent": {"goal": "g", "inputs": {"n": 1.5}, "constraints": {}, "connectors": null}}', 'ann', 'x') -> 'isNew', 'true', 'the default recipe');
select is(intent, '{"goal": "g", "inputs": {"n": 1.5}, "constraints": {}}', 'connectors only if given') from app.schedules where name = 'a.b_c-9';
select is(options, '{}', 'no options') from app.schedules where name = 'a.b_c-9';
select is(recipe, 'other', 'the view knows which recipe') from app.v_schedules where name = 'a.b_c-9';
select is((health, next_at)::text, '(ok,"2032-01-03 00:00:00+00")', 'and that all is well') from app.v_schedules where name = 'a.b_c-9';
select is(ticks_after, array['2032-01-04', '2032-01-05', '2032-01-06']::timestamptz[], 'and what comes then') from app.v_schedules where name = 'a.b_c-9';
select is((select count(*) from app.artifacts where run_id not like 'schedule/%'), 0::bigint, 'nothing else was left');
select is((select count(*) from app.runs), 0::bigint, 'nothing started');
select is_empty('select * from app.v_invariants');
rollback;
