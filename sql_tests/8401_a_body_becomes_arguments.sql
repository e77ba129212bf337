-- A JSON body under the names of HTTP: closed, and every fault is told under the name that was given.
begin;
select plan(10);

select is(app.arguments('fork_run', '{"stepN": 2, "actor": "ann", "reason": "x", "appVersion": "2"}', '{"run_id": "r"}'),
  '{"run_id": "r", "step_n": 2, "actor": "ann", "reason": "x", "app_version": "2"}', 'camelCase becomes the name of the argument');
select is(app.arguments('sleep_run', '{"wf": "sleep_1", "sleep": 5}', names => '{"run_id": "wf", "ms": "sleep"}'), '{"run_id": "sleep_1", "ms": 5}', 'or what it is said to be called');
select is(app.arguments('approve_plan', '{"approvedBy": "ann", "notes": null, "decision": "yes"}', '{"run_id": "r"}') -> 'notes', 'null', 'null stays null');
select is(app_test.faults_of($$select app.arguments('fork_run', '{"stepN": "2", "actor": " ", "more": 1, "x": 2}', '{"run_id": "r"}')$$),
  'actor, more, reason, stepN, x', 'every fault is listed under the name that was given');
select is(app_test.faults_of($$select app.arguments('control', '{"runId": "r", "actor": "a", "reason": "b"}', '{"run_id": "r"}')$$), 'runId', 'what is known already may not be given');
select is(app_test.faults_of($$select app.arguments('approve_plan', '{"approved_by": "a", "decision": "yes"}', '{"run_id": "r"}')$$), 'approvedBy, approved_by', 'the name of the argument is no name of a field');
select is(app_test.faults_of($$select app.arguments('sleep_run', '{"wf": "sleep 1", "sleep": "x", "ms": 5}', names => '{"run_id": "wf", "ms": "sleep"}')$$), 'ms, sleep, wf', 'names hold for faults, too');
select is(app_test.faults_of($$select app.arguments('control', '[]')$$), '', 'a body is an object');
select is((select string_agg(app.argument_key(n), ' ') from unnest(array['step_n', 'shown_sha256', 'dedupe_key', 'timeoutMS', 'actor']) as n), 'stepN shownSha256 dedupeKey timeoutMS actor', 'names as JSON spells them');

select is_empty('select * from app.v_invariants');
rollback;
