-- A purge takes all that hangs on a run and leaves a tombstone: get_run answers with the last header, everything else says run_purged.
begin;
select plan(29);

-- one of everything: a fan-out with receipt and body, a gate with its reply, a timer, a checkpoint
select app_test.a_run_at('ExecuteST', 'old', '{"timeoutMS": 3600000}') as old \gset
select app_test.finish_step('{"tasks": [{"cmd": "a"}]}') \g /dev/null
select app_test.finish_step('{"receipt": true, "artifacts": [{"kind": "stdout", "name": "out", "body": "aGk="}]}', 'sbxQ') \g /dev/null
insert into app.checkpoints (run_id, idx, seq, kind, name, attempt, created_at) values (:'old', 0, 0, 'step', 'x', 1, app.now());
select app_test.a_run('failed', 'four') as failed \gset
select app_test.fail_step() \g /dev/null
select app_test.a_schedule() \g /dev/null
select app.start_run(app_test.an_intent('ticked'), '{"recipeName": "plain"}') ->> 'workflowID' as ticked \gset
insert into app.schedule_ticks (name, tick_at, outcome, run_id, fired_at) values ('nightly', app.now(), 'started', :'ticked', app.now() + interval '1 ms');
select app.cancel_run(:'ticked', 'ann', 'x') \g /dev/null
select is(app_test.status_of(:'old'), 'SUCCESS', 'a run is over');
create temp table was as select app.get_run(:'old') as header, app.get_run(:'failed') as failed;
select app.advance('10 days') \g /dev/null
select app_test.a_run('young') as young \gset
select app.cancel_run(:'young', 'ann', 'x') \g /dev/null
select app_test.a_run('open') as open \gset

select is(app.purge_runs('5 days', 'ann', 'too old', dry_run => true), '{"accepted": true, "purged": 3, "bodies": 0, "more": false, "dryRun": true}', 'a dry run counts');
select is(app_test.status_of(:'old'), 'SUCCESS', 'and takes nothing');
select is(app.purge_runs('5 days', 'ann', 'too old', '{ERROR}'), '{"accepted": true, "purged": 1, "bodies": 0, "more": false, "dryRun": false}', 'of some statuses');
select is(app.purge_runs('11 days', 'ann', 'too old'), '{"accepted": true, "purged": 0, "bodies": 0, "more": false, "dryRun": false}', 'what ended later stays');
select is(app.purge_runs('5 days', 'ann', 'too old'), '{"accepted": true, "purged": 2, "bodies": 1, "more": false, "dryRun": false}', 'the others go, with the body that nobody else has');
select is_empty($$select table_name from (values
    ('run_steps', (select count(*) from app.run_steps as x join app.purged_runs using (run_id))), ('artifacts', (select count(*) from app.artifacts as x join app.purged_runs using (run_id))),
    ('gates', (select count(*) from app.gates as x join app.purged_runs using (run_id))), ('gate_replies', (select count(*) from app.gate_replies as x join app.purged_runs using (run_id))),
    ('timers', (select count(*) from app.timers as x join app.purged_runs using (run_id))), ('checkpoints', (select count(*) from app.checkpoints as x join app.purged_runs using (run_id))),
    ('mock_receipts', (select count(*) from app.mock_receipts as x join app.purged_runs using (run_id))), ('ticks', (select count(*) from app.schedule_ticks as x join app.purged_runs using (run_id))),
    ('runs', (select count(*) from app.runs as x join app.purged_runs using (run_id)))) as t (table_name, n) where n > 0$$, 'nothing of them is left');
select set_eq('select run_id from app.runs', array[:'young', :'open'], 'the others are all there');

select is(app.get_run(:'old'), was.header || jsonb_build_object('purgedAt', app.epoch_ms(p.purged_at)), 'get_run has the last header, and when it was purged')
from was, app.purged_runs as p where p.run_id = :'old';
select is(app.get_run(:'failed') - 'purgedAt', failed || '{"nextAction": null}', 'nobody can do anything about it any more') from was;

create temp table call (statement text);
insert into call select format(c, :'old') from unnest(array['select app.get_steps(%L)', 'select app.list_gates(%L)', 'select app.list_artifacts(%L)', 'select app.explain_run(%L)',
  'select app.page_run(%L)', 'select app.cancel_run(%L, ''ann'', ''x'')', 'select app.resume_run(%L, ''ann'', ''x'')', 'select app.repair_run(%L, ''ann'', ''x'')',
  'select app.fork_run(%L, 0, ''ann'', ''x'')', 'select app.approve_plan(%L, ''ann'')', 'select app.reply_gate(%L, ''approve-plan'', ''{"decision": "yes"}'', ''1'', ''ann'')']) as c;
select is(e ->> 'sqlstate' || ' ' || (e ->> 'code') || ' ' || (e ->> 'hint'), format('PT404 run_purged select app.get_run(''%s'') has its last header', :'old'), left(statement, 24))
from call cross join lateral app_test.error_of(statement) as e;
select is(b.code, 'run_purged', 'a batch reports it') from app.cancel_batch(jsonb_build_object('runIds', jsonb_build_array(:'old')), 'ann', 'x') as b;

select results_eq($$select a.inline - array['at', 'reason'] from app.artifacts as a where a.run_id = 'retention/purge' order by a.artifact_id$$, $$values
  ('{"op": "purge", "actor": "ann", "target": "retention/purge", "targetWorkflowID": null, "purged": 1, "bodies": 0, "olderThan": "5 days", "statuses": ["ERROR"]}'::jsonb),
  ('{"op": "purge", "actor": "ann", "target": "retention/purge", "targetWorkflowID": null, "purged": 2, "bodies": 1, "olderThan": "5 days", "statuses": ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]}')$$,
  'each purge that took something is on record');
select is(jsonb_array_length(app.list_artifacts('retention/purge')), 2, 'and is listed');
select is((app.create_intent('{"goal": "old", "inputs": {}, "constraints": {}}')) -> 'isReplay', 'true', 'its intent is known');
select is(app.search_runs('{"text": "old"}') -> 'runs', '[]', 'it is not found among the runs');
select is(app.list_runs() -> 'runs' @> jsonb_build_array(jsonb_build_object('workflowID', :'old')), false, 'nor listed');
select is((select count(*) from app.v_run_timeline where run_id = :'old'), 0::bigint, 'its timeline is empty');
select is_empty('select * from app.v_invariants');
rollback;
