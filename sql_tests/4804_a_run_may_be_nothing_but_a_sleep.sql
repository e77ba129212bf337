-- sleep_run: a run under the caller's id that wakes at its start plus its duration, whoever is alive by then.
begin;
select plan(18);

select app.sleep_run('sleep_1', 60000) as header \gset
select is((:'header'::jsonb) ->> 'workflowID', 'sleep_1', 'the id is the caller''s');
select is((:'header'::jsonb) ->> 'status' || ' ' || ((:'header'::jsonb) ->> 'queueName') || ' ' || ((:'header'::jsonb) ->> 'isReplay'), 'PENDING controlQ false', 'under way without a worker');
select is(((:'header'::jsonb) ->> 'wakeAt')::bigint, ((:'header'::jsonb) ->> 'createdAt')::bigint + 60000, 'it says when it wakes');
select results_eq($$select step_id from app.artifacts where run_id = 'sleep_1'$$, array['sleep-before-sleep'], 'the first artifact is there at once');
select is((app.sleep_run('sleep_1', 60000) ->> 'isReplay')::boolean, true, 'the same sleep again is a replay');
select is(app_test.error_of($$select app.sleep_run('sleep_1', 5)$$) #> '{drift}', '[{"field": "sleepMS", "existing": 60000, "incoming": 5}]', 'another duration is drift');
select is(app_test.error_of($$select app.sleep_run('sleep_1', 5)$$) ->> 'sqlstate', 'PT409', 'PT409');
select is(app_test.faults_of(format('select app.sleep_run(%L, 5)', bad)), 'run_id', 'no id for a sleep: ' || left(bad, 12)) from unnest(array['', '-x', 'a b', 'x-f1', 'ih_' || repeat('0', 64)]) as bad;
select is(app_test.faults_of($$select app.sleep_run('s', -1)$$), 'ms', 'nor a duration');
select app.advance('59 seconds'), app_test.recover() \g /dev/null
select is(app_test.status_of('sleep_1'), 'PENDING', 'not early');
select app.advance('1 second'), app_test.recover() \g /dev/null
select results_eq($$select (step_id || ' ' || app_test.status_of(run_id)) collate "default" from app.artifacts where run_id = 'sleep_1' order by artifact_id$$, array['sleep-before-sleep SUCCESS', 'sleep-after-sleep SUCCESS'], 'and then it is over');

select app.put_recipe('{"name": "sleep", "queue": "controlQ", "steps": [{"stepId": "Mine", "handler": "h"}]}') ->> 'version' as mine \gset
select app.activate_recipe('sleep', :mine) \g /dev/null
select is(app.sleep_run('sleep_2', 60000) ->> 'status', 'PENDING', 'whoever else has a recipe of this name, a sleep sleeps');
select is((select version from app.recipes where name = 'sleep' and status = 'active'), :mine, 'and theirs stays active');
select is_empty('select * from app.v_invariants');
rollback;
