-- pause_queue and unpause_queue: nothing is handed out, a step under way ends and the next waits; who, when and why are told and audited; refusals write nothing.
begin;
select plan(36);

create function pg_temp.trail() returns text language sql as $$
  select string_agg((inline - 'at')::text, ' ' order by artifact_id) from app.artifacts where run_id = 'queue/intentQ' $$;
select app_test.a_run('under way') as working, app_test.a_run('in line') as waiting \gset
create temp table lane as select * from app_test.work_once();
create temp table before as select app_test.everything() as hash;

-- refusals and dry runs
select is(app_test.faults_of(s), 'actor, queue_name, reason', s) from unnest(array['select app.pause_queue(null, null, null)', 'select app.unpause_queue('''', '' '', '''')']) as s;
select is(app_test.faults_of($$select app.pause_queue('noQ', '', 'x')$$), 'actor', '400 before 404');
select is(app_test.error_of($$select app.pause_queue('noQ', 'ann', 'x')$$) - 'hint', '{"sqlstate": "PT404", "code": "queue_not_found", "message": "no queue noQ"}'::jsonb, 'no such queue to pause');
select is(app_test.error_of($$select app.unpause_queue('noQ', 'ann', 'x')$$) ->> 'code', 'queue_not_found', 'nor to let go on');
select is(app_test.error_of($$select app.unpause_queue('intentQ', 'ann', 'x')$$) - 'hint',
  '{"sqlstate": "PT409", "code": "queue_not_paused", "message": "queue intentQ is not paused", "status": "served"}'::jsonb, 'it is not paused');
select is(app.pause_queue('intentQ', 'ann', 'try', dry_run => true), '{"accepted": true, "queueName": "intentQ", "paused": false, "pausedAt": null, "dryRun": true}'::jsonb, 'a dry run');
select is(app_test.everything(), hash, 'none of it writes anything') from before;

-- paused
select is(app.pause_queue('intentQ', 'ann', 'the service is down') - 'pausedAt', '{"accepted": true, "queueName": "intentQ", "paused": true, "dryRun": false}'::jsonb, 'paused');
select is((select row(paused_by, pause_reason, paused_at is not null)::text from app.queues where queue_name = 'intentQ'), '(ann,"the service is down",t)', 'the queue says who, why and when');
select is(pg_temp.trail(), '{"op": "pause", "actor": "ann", "reason": "the service is down", "target": "queue/intentQ", "targetWorkflowID": null}', 'an artifact tells it');
select is((select row(step_id, kind, idx, step_idx)::text from app.artifacts where run_id = 'queue/intentQ'), '(OPS,json_diagnostic,0,)', 'as for any control action');
select is((select app.sha256_hex(c.body) = c.sha256 and convert_from(c.body, 'UTF8')::jsonb ->> 'op' = 'pause' from app.artifacts as a cross join lateral app.get_artifact(a.artifact_id) as c where a.run_id = 'queue/intentQ'), true, 'get_artifact gives it');
select is(jsonb_array_length(app.list_artifacts('queue/intentQ')), 1, 'list_artifacts, too');
select is(app_test.error_of($$select app.list_artifacts('queue/sbxQ')$$) ->> 'code', 'run_not_found', 'a queue to which nothing happened has none');
select is_empty('select * from app_test.work_once(''w2'', n => 9)', 'nothing is claimed');
select is_empty('select w.* from lane, app.work(''w1'', jsonb_build_array(app_test.done(lane))) as w', 'a step under way commits, and its lane ends there');
select results_eq($$select distinct paused_by, pause_reason, paused_at is not null from app.v_ops_queue_depth where queue_name = 'intentQ'$$, $$values ('ann', 'the service is down', true)$$, 'queue depth tells it');
select is_empty($$select * from app.v_ops_queue_depth where queue_name <> 'intentQ' and paused_at is not null$$, 'of this queue only');
select results_eq(format('select why, held_by, since, next_at, unblock from app.explain_run(%L)', :'waiting'),
  $$select 'S0 waits in line on intentQ, which is paused: the service is down', 'ann', paused_at, null::timestamptz, 'select app.unpause_queue(''intentQ'', actor => ''me'', reason => ''…'')' from app.queues where queue_name = 'intentQ'$$,
  'explain tells who holds it, since when, and the call');
select is((select why from app.explain_run(:'working')), 'S1 waits in line on intentQ, which is paused: the service is down', 'of a run that was under way, too');
select results_eq($$select run_id collate "default", queue_name collate "default", reason collate "default", call collate "default" from app.v_ops_inbox where kind = 'paused queue'$$,
  $$values (null, 'intentQ', 'paused by ann: the service is down', 'select app.unpause_queue(''intentQ'', actor => ''me'', reason => ''…'')')$$, 'the inbox has it');

-- paused again
create temp table paused as select app_test.everything() as hash;
select is(app_test.error_of($$select app.pause_queue('intentQ', 'bob', 'x')$$),
  '{"sqlstate": "PT409", "code": "queue_paused", "status": "paused", "message": "queue intentQ is paused already, by ann: the service is down", "hint": "select app.unpause_queue(''intentQ'', actor => ''me'', reason => ''…'')"}'::jsonb, 'it is paused once');
select is(app_test.error_of($$select app.pause_queue('intentQ', 'bob', 'x', dry_run => true)$$) ->> 'code', 'queue_paused', 'a dry run says so, too');
select is(app.unpause_queue('intentQ', 'bob', 'try', dry_run => true) - 'pausedAt', '{"accepted": true, "queueName": "intentQ", "paused": true, "dryRun": true}'::jsonb, 'a dry run of the other');
select is(app_test.everything(), hash, 'none of it writes anything') from paused;

-- and on
select app_test.a_run('another queue') as other \gset
select call from app.v_ops_inbox where kind = 'paused queue' \gset
:call \g /dev/null
select is((select row(paused_at, paused_by, pause_reason)::text from app.queues where queue_name = 'intentQ'), '(,,)', 'the call of the inbox lets it go on');
select is((select row(inline ->> 'op', inline ->> 'actor', inline ->> 'pausedBy', inline ->> 'pauseReason', inline ? 'pausedAt', idx)::text from app.artifacts where run_id = 'queue/intentQ' order by artifact_id desc limit 1), '(unpause,me,ann,"the service is down",t,1)', 'the trail says what it was');
select is_empty($$select * from app.v_ops_inbox where kind = 'paused queue'$$, 'the inbox is clean');
select is((select count(*) from app_test.work_once('w2', n => 9)), 3::bigint, 'what waited is claimed');
select is((select array_agg(queue_name) from app.v_ops_queue_depth where paused_at is not null), null, 'no queue is paused');

-- the trigger lets in the trail of queues and schedules, and nothing else
select is(app_test.error_of(format('insert into app.artifacts (run_id, step_id, idx, kind, name, media_type, size, sha256, created_at) values (%L, %L, 0, ''file'', ''f'', ''text/plain'', 0, repeat(''0'', 64), now())', v.run_id, v.step_id)) ->> 'code',
  v.code, format('an artifact of %s %s', v.run_id, v.step_id))
from (values ('queue/q', 'OPS', null), ('schedule/s', 'OPS', null), ('queue/q', 'S0', 'run_not_found'), ('worker/w', 'OPS', 'run_not_found')) as v (run_id, step_id, code);
select is_empty('select * from app.v_invariants');
rollback;
