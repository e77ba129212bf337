-- v_ops_inbox: each kind with its reason and a call that helps, most urgent first; what is well is not in it.
begin;
select plan(38);

create function pg_temp.kinds() returns text language sql as $$ select coalesce(string_agg(i.kind || coalesce(' ' || (x.body ->> 'goal'), ''), ', ' order by i.ordinality), '-')
  from (select *, row_number() over () as ordinality from app.v_ops_inbox) as i left join app.runs as r using (run_id) left join app.intents as x using (intent_id) $$;
select app.setting('app_version') as version \gset
select is(pg_temp.kinds(), '-', 'nothing is there, nothing needs a human');
select app_test.a_worker('w1') \g /dev/null

-- in line with a worker, at work, done: all is well
select app_test.a_recipe() , app_test.a_run('good') as good \gset
select app_test.finish_step() \g /dev/null
select app.advance('1 minute') \g /dev/null
select is(pg_temp.kinds(), '-', 'in line, and somebody serves it');
select app_test.finish_step() \g /dev/null
select is(pg_temp.kinds(), '-', 'done');

-- failed, and forked since
select app_test.a_run('failed', options => '{"queuePartitionKey": "p"}') as failed \gset
select app_test.fail_step('broken') \g /dev/null
select app.advance('10 minutes') \g /dev/null
select is(row(kind, run_id, recipe, queue_name, partition_key, age_s, reason, call, deadline)::text, format('(failed,%s,plain,intentQ,p,600,"broken: it did not work","select app.repair_run(''%1$s'', actor => ''me'', reason => ''…'')",)', :'failed'), 'a failed run') from app.v_ops_inbox;
select is(since, ended_at, 'since it failed') from app.v_ops_inbox join app.runs using (run_id);
select call from app.v_ops_inbox \gset
:call \g /dev/null
select is(pg_temp.kinds(), '-', 'the call helps');
select app_test.fail_step('broken') \g /dev/null
select app.fork_run(:'failed', 0, 'ann', 'x') ->> 'forkedWorkflowID' as fork \gset
select is(reason, format('its fork %s is ENQUEUED; broken: it did not work', :'fork'), 'a fork of it is told') from app.v_ops_inbox;
select lives_ok(call, 'and compared') from app.v_ops_inbox;
select app.advance('24 hours') \g /dev/null
select is(pg_temp.kinds(), '-', 'after a day it is history');
select app_test.finish_step(), app_test.finish_step() \g /dev/null

-- a lease that expired
select app_test.a_run('lost') as lost \gset
select app_test.work_once() \g /dev/null
select is(pg_temp.kinds(), '-', 'at work');
select app_test.age_leases('31 seconds') \g /dev/null
select is(row(kind, run_id, queue_name, reason, call)::text, format('(stalled,%s,intentQ,"the lease of S0 attempt 1 has expired: worker w1 gives no sign of life","select app.recover()")', :'lost'), 'a lease that expired') from app.v_ops_inbox;
select call from app.v_ops_inbox \gset
:call \g /dev/null
select is(pg_temp.kinds(), '-', 'the call puts it in line again');

-- nobody serves it: no worker, another version, another queue
update app.workers set last_seen_at = clock_timestamp() - interval '16 seconds';
select app.advance('14 seconds') \g /dev/null
select is(pg_temp.kinds(), '-', 'not yet');
select app.advance('2 seconds') \g /dev/null
select is(row(kind, run_id, queue_name, reason, call)::text, format('(stalled,%s,intentQ,"no live worker of version %s serves intentQ: sisu runner --app-version %2$s --queue intentQ","select * from app.v_ops_workers")', :'lost', :'version'), 'nobody serves it') from app.v_ops_inbox;
select lives_ok(call, 'the call is a call') from app.v_ops_inbox;
select app_test.a_worker('tasks', '{"queues": ["sbxQ"]}') \g /dev/null
select is(pg_temp.kinds(), 'stalled lost', 'a worker of another queue does not');
select app_test.a_worker('new', '{"appVersion": "v2"}') \g /dev/null
select is(call, format('select app.fork_run(%L, 0, actor => ''me'', reason => ''…'', app_version => ''v2''), app.cancel_run(%1$L, actor => ''me'', reason => ''…'')', :'lost'), 'one of another version can take a fork') from app.v_ops_inbox;
select call from app.v_ops_inbox \gset
:call \g /dev/null
select is(pg_temp.kinds(), '-', 'the call helps');
select is((select status || app_version from app.runs where run_id = :'lost' || '-f1'), 'ENQUEUEDv2', 'the fork waits for that version');
select app.cancel_run(:'lost' || '-f1', 'ann', 'x') \g /dev/null

-- a step that waits for its tasks is told once
select app_test.a_worker('w1'), app_test.a_run_at('ExecuteST', 'fan') as fan \gset
select app_test.finish_step('{"tasks": [1, 2, 3]}') \g /dev/null
update app.workers set last_seen_at = clock_timestamp() - interval '16 seconds';
select app.advance('1 minute') \g /dev/null
select is((select array_agg(queue_name) from app.v_ops_inbox), array['sbxQ'], 'a run is stalled once, however many tasks wait');
select app.cancel_run(:'fan', 'ann', 'x') \g /dev/null

-- timers that nobody fires
select app_test.a_recipe('naps', '[{"sleep": {"ms": 60000}}]'), app_test.a_run('naps', 'naps') as nap \gset
select app.advance('118 seconds') \g /dev/null
select is(pg_temp.kinds(), '-', 'due for less than a minute: not yet');
select app.advance('4 seconds') \g /dev/null
select is(row(kind, run_id, recipe, reason, call, age_s)::text, format('("overdue timer",%s,naps,"its sleep timer was due and nobody fires timers: no worker is there","select app.recover()",62)', :'nap'), 'an overdue timer') from app.v_ops_inbox;
select call from app.v_ops_inbox \gset
:call \g /dev/null
select is(pg_temp.kinds() || app_test.status_of(:'nap'), '-SUCCESS', 'the call fires it');

-- gates
select app_test.a_worker('w1'), app_test.a_run_at('approve-plan', 'gate') as gate \gset
select is(row(kind, run_id, recipe, reason, call, deadline)::text, format('(gate,%s,four,"approval approve-plan before DecideST: Approve the plan","select app.approve_plan(''%1$s'', approved_by => ''me'')",)', :'gate'), 'an open gate') from app.v_ops_inbox;
select app_test.a_recipe('ask', '[{"gate": {"key": "tell", "kind": "input", "ttlMS": 7200000}}]'), app_test.a_run('soon', 'ask') as soon \gset
select is(pg_temp.kinds(), 'gate soon, gate gate', 'one that expires comes first');
select is(deadline, expires_at, 'with its deadline') from app.v_ops_inbox join app.gates using (run_id) where run_id = :'soon';

-- dead lanes
update app.queues set max_recoveries = 0;
select app_test.a_run('dead') as dead \gset
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is(row(kind, run_id, reason, call)::text, format('("dead lane",%s,"worker w1 gave no sign of life","select app.resume_run(''%1$s'', actor => ''me'', reason => ''…'')")', :'dead'), 'a dead lane') from app.v_ops_inbox where run_id = :'dead';

-- all together, in the order of their urgency
select app_test.a_run('failed again') as bad \gset
select app_test.fail_step() \g /dev/null
select app.pause_queue('controlQ', 'ann', 'quiet'), app_test.a_run('stalled', options => '{"appVersion": "v0"}'), app.advance('1 minute') \g /dev/null
select is(pg_temp.kinds(), 'paused queue, stalled stalled, dead lane dead, gate soon, gate gate, failed failed again', 'what holds up many, what is dead, what waits, what failed');
select app.advance('62 minutes') \g /dev/null
select alike(pg_temp.kinds(), 'gate soon, paused queue, %', 'a gate that expires within the hour is first of all');
select lives_ok(call, 'calls: ' || kind) from app.v_ops_inbox;
select is_empty('select * from app.v_invariants');

-- a paused queue: what waits on it is not stalled as well
select app_test.a_run('held', options => '{"appVersion": "v0"}') as held, app.pause_queue('intentQ', 'ann', 'stop'), app.advance('1 minute') \gset
select is_empty(format('select * from app.v_ops_inbox where run_id = %L', :'held'), 'the queue is told, not each of its runs');
select is((select count(*) from app.v_ops_inbox where kind = 'paused queue'), 1::bigint, 'once');
rollback;
