-- dbos.workflow_status and dbos.operation_outputs: the second truth source, under DBOS Transact's names, read only.
begin;
select plan(27);

create function pg_temp.columns(view text) returns text language sql as $$
  select string_agg(a.attname || ' ' || format_type(a.atttypid, null), ', ' order by a.attnum) from pg_attribute as a where a.attrelid = view::regclass and a.attnum > 0 $$;
select is(pg_temp.columns('dbos.workflow_status'), 'workflow_uuid text, status text, name text, authenticated_user text, assumed_role text, authenticated_roles text, request text, output text, error text, executor_id text, created_at bigint, updated_at bigint, application_version text, application_id text, class_name text, config_name text, recovery_attempts bigint, queue_name text, workflow_timeout_ms bigint, workflow_deadline_epoch_ms bigint, started_at_epoch_ms bigint, deduplication_id text, inputs text, priority integer, queue_partition_key text, forked_from text', 'workflow_status');
select is(pg_temp.columns('dbos.operation_outputs'), 'workflow_uuid text, function_id integer, function_name text, output text, error text, child_workflow_id text, started_at_epoch_ms bigint, completed_at_epoch_ms bigint', 'operation_outputs');

select app_test.a_recipe(), app_test.a_run('g', options => '{"queuePartitionKey": "p", "priority": 7, "timeoutMS": 60000, "startedBy": "ann", "appVersion": "v1"}') as run_id \gset
select is(row(status, name, authenticated_user, assumed_role, authenticated_roles, output, error, executor_id, application_version, recovery_attempts, queue_name, workflow_timeout_ms, started_at_epoch_ms, priority, queue_partition_key, forked_from)::text,
  '(ENQUEUED,plain,ann,"",[],,,,v1,0,intentQ,60000,,7,p,)', 'a run in line') from dbos.workflow_status where workflow_uuid = :'run_id';
select is(created_at, (app.get_run(:'run_id') -> 'createdAt')::bigint, 'created when the API says') from dbos.workflow_status;
select is(workflow_deadline_epoch_ms, app.epoch_ms(fire_at), 'the deadline is that of its timer') from dbos.workflow_status, app.timers;
select is(inputs::jsonb, '{"goal": "g", "inputs": {}, "constraints": {}}'::jsonb, 'the intent is its input') from dbos.workflow_status;
select is_empty('select * from dbos.operation_outputs', 'no step has ended');

select app_test.a_worker('w1', '{"appVersion": "v1"}'), app.work('w1', '[]', '{"queues": {"intentQ": 1}, "appVersion": "v1"}') \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is(row(status, executor_id, recovery_attempts, started_at_epoch_ms is not null)::text, '(PENDING,w1,1,t)', 'begun, and its worker was lost once') from dbos.workflow_status;
select is_empty('select * from dbos.operation_outputs', 'a step that is tried again has not ended');
select app_test.a_worker('w2', '{"appVersion": "v1"}') \g /dev/null
create temp table lane as select * from app_test.work_once('w2', want => '{"appVersion": "v1"}');
select w.* from lane, app_test.report(app_test.done(lane, '{"output": {"n": 1}}'), 'w2') as w \g /dev/null
select is((select array_agg(row(function_id, function_name, output, error, child_workflow_id)::text) from dbos.operation_outputs where workflow_uuid = :'run_id'), array['(0,S0,"{""n"": 1}",,)'], 'a step that has ended');
select is(row(started_at_epoch_ms, completed_at_epoch_ms)::text, (select row(app.epoch_ms(started_at), app.epoch_ms(ended_at))::text from app.run_steps where status = 'SUCCESS'), 'from when to when') from dbos.operation_outputs;
select is(updated_at, (app.get_run(:'run_id') -> 'updatedAt')::bigint, 'updated when the API says') from dbos.workflow_status;
truncate lane;
insert into lane select * from app_test.work_once('w2', want => '{"appVersion": "v1"}');
select w.* from lane, app_test.report(app_test.done(lane, '{"output": "the end"}'), 'w2') as w \g /dev/null
select is(row(status, output, error)::text, '(SUCCESS,"""the end""",)', 'the output of a run is that of its last step') from dbos.workflow_status;
select is((select string_agg(function_id || function_name, ' ' order by function_id) from dbos.operation_outputs), '0S0 1S1', 'both steps');

-- a failure, a gate, a fork, a fan-out
select app_test.a_run('bad') as bad \gset
select app_test.fail_step() \g /dev/null
select is(error::jsonb ->> 'code', 'broken', 'a failed run says why') from dbos.workflow_status where workflow_uuid = :'bad';
select is(error::jsonb ->> 'code', 'broken', 'so does its step') from dbos.operation_outputs where workflow_uuid = :'bad';
select app.repair_run(:'bad', 'ann', 'x') \g /dev/null
select is_empty(format('select * from dbos.operation_outputs where workflow_uuid = %L', :'bad'), 'not while it is repaired');
select app.cancel_run(:'bad', 'ann', 'x'), app_test.a_run_at('approve-plan', 'waits') as waits \gset
select is(row(status, executor_id)::text, '(WAITING_INPUT,w1)', 'a run at its gate') from dbos.workflow_status where workflow_uuid = :'waits';
select app.fork_run(:'run_id', 1, 'ann', 'x') ->> 'forkedWorkflowID' as fork \gset
select is(forked_from, :'run_id', 'a fork names its source') from dbos.workflow_status where workflow_uuid = :'fork';
select is((select array_agg(function_name) from dbos.operation_outputs where workflow_uuid = :'fork'), array['S0'], 'a reused step is one that has ended');
select app_test.a_run_at('ExecuteST', 'fan') as fan \gset
select app_test.finish_step('{"tasks": [1, 2]}'), app_test.finish_step('{}', 'sbxQ'), app_test.finish_step('{}', 'sbxQ') \g /dev/null
select is((select array_agg(function_id order by function_id) from dbos.operation_outputs where workflow_uuid = :'fan'), array[0, 1, 2, 3], 'one row per step, whatever it fanned out to');
select is_empty('select workflow_uuid, function_id from dbos.operation_outputs group by 1, 2 having count(*) > 1', 'the key is a key');
select is((select count(*) from dbos.workflow_status), (select count(*) from app.runs), 'a row per run');

-- rights
select is_empty($$select r, v from unnest(array['app_api', 'app_worker', 'public']) as r cross join unnest(array['dbos.workflow_status', 'dbos.operation_outputs']) as v where has_table_privilege(r, v, 'select')$$, 'PUBLIC, shims and runners may not look');
select is_empty($$select v from unnest(array['app_read', 'app_ops']) as r cross join unnest(array['dbos.workflow_status', 'dbos.operation_outputs']) as v where not has_table_privilege(r, v, 'select') or has_table_privilege(r, v, 'insert, update, delete, truncate')$$, 'readers and people on duty may look, and no more');
set local role app_read;
select is(count(*) > 4, true, 'the views work in that role') from dbos.workflow_status join dbos.operation_outputs using (workflow_uuid);
reset role;
select is_empty('select * from app.v_invariants');
rollback;
