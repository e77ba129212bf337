-- Run header, steps, gates, artifacts: fields and values; unknown runs are 404 on all of them; reads never write.
begin;
select plan(22);

select app_test.a_run_at('approve-plan') as run_id \gset
create temp table before as select app_test.everything() as hash;
create temp table h as select app.get_run(:'run_id') as header;
select set_has($$select k from h, jsonb_object_keys(header) as k$$, $$select unnest(array['workflowID', 'status', 'workflowName', 'recipe', 'queueName',
  'queuePartitionKey', 'createdAt', 'updatedAt', 'nextAction', 'lastStep', 'error', 'traceId', 'traceUrl', 'appVersion', 'ocMode', 'sbxMode', 'forkedFrom', 'stale'])$$, 'the header has all its fields');
select is(header ->> 'workflowID', :'run_id', 'workflowID') from h;
select is(header ->> 'status', 'WAITING_INPUT', 'status') from h;
select is(header ->> 'nextAction', 'APPROVE_PLAN', 'nextAction at the plan gate') from h;
select is(header ->> 'lastStep', 'ApplyPatchST', 'lastStep') from h;
select is(header -> 'recipe', '{"name": "four", "version": 1}'::jsonb, 'recipe') from h;
select is(header ->> 'stale', 'false', 'a run that waits for a human is not stale') from h;
select ok(abs((header ->> 'createdAt')::bigint - extract(epoch from clock_timestamp()) * 1000) < 60000, 'createdAt is in epoch ms') from h;

create temp table s as select e.value as step, e.ordinality as n from jsonb_array_elements(app.get_steps(:'run_id')) with ordinality as e;
select is((select array_agg(step ->> 'stepID' order by n) from s), array['CompileST', 'ApplyPatchST'], 'steps in index order');
select set_has($$select jsonb_object_keys(step) from s where n = 1$$, $$select unnest(array['stepID', 'idx', 'status', 'attempt', 'startedAt', 'endedAt', 'error', 'cachedFrom',
  'artifactRefs', 'traceId', 'spanId'])$$, 'a step has all its fields');
select is(step #>> '{artifactRefs,0,kind}', 'none', 'with its artifacts') from s where n = 1;
select is((app.list_gates(:'run_id') -> 0) - 'openedAt', '{"gateKey": "approve-plan", "idx": 2, "kind": "approval", "title": "Approve the plan", "status": "OPEN",
  "expiresAt": null, "answeredAt": null, "payload": null, "round": 1, "onExpiry": "fail", "shows": [], "shownSha256": null, "quorum": 1, "selfApproval": true, "replies": []}'::jsonb, 'gates');
select is(jsonb_array_length(app.list_artifacts(:'run_id')), 2, 'artifacts');
select is(app_test.everything(), hash, 'reads never write') from before;

select is(app_test.error_of(format(statement, 'nobody')) ->> 'code', 'run_not_found', statement)
from unnest(array['select app.get_run(%L)', 'select app.get_steps(%L)', 'select app.list_gates(%L)', 'select app.list_artifacts(%L)']) as statement;
select is(app_test.error_of('select app.get_artifact(99999999)') ->> 'code', 'artifact_not_found', 'an unknown artifact');
select is(app_test.status_of(:'run_id'), 'WAITING_INPUT', 'run_id and workflowID are one');

update app.runs set status = 'CANCELLED', ended_at = app.now() where run_id = :'run_id';
select is(app.get_run(:'run_id') ->> 'nextAction', 'RESUME', 'nextAction after a cancel');
select app_test.a_run('g2', 'four') as other \gset
select app_test.fail_step() \g /dev/null
select is(app.get_run(:'other') ->> 'nextAction', 'REPAIR', 'nextAction after a failure');
rollback;
