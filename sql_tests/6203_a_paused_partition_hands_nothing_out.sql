-- Pause for one partition: its lanes stop at the step boundary, the others go on, in the same call too.
begin;
select plan(17);

select app_test.a_recipe() \g /dev/null
select app_test.a_run('a', options => '{"queuePartitionKey": "a"}') as a, app_test.a_run('b', options => '{"queuePartitionKey": "b"}') as b,
  app_test.a_run('second', options => '{"queuePartitionKey": "a"}') as second \gset
create temp table lane as select * from app_test.work_once(n => 2);
select is((select array_agg(run_id order by run_id) from lane), (select array_agg(r order by r) from unnest(array[:'a', :'b']) as r), 'one of each');

select is(app.pause_partition('intentQ', 'a', 'ann', 'noisy', true) ->> 'paused', 'false', 'a dry run');
select is_empty('select * from app.partitions', 'writes nothing');
select app.pause_partition('intentQ', 'a', 'ann', 'noisy') as paused \gset
select is(:'paused'::jsonb - 'pausedAt', '{"accepted": true, "queueName": "intentQ", "partition": "a", "paused": true, "dryRun": false}', 'the answer');
select is(app_test.error_of($$select app.pause_partition('intentQ', 'a', 'bob', 'x')$$) - 'message', '{"sqlstate": "PT409", "code": "partition_paused", "status": "paused", "hint": "select app.unpause_partition(''intentQ'', ''a'', actor => ''me'', reason => ''…'')"}', 'twice is refused');
select is(app_test.error_of($$select app.unpause_partition('intentQ', 'b', 'bob', 'x')$$) ->> 'code', 'partition_not_paused', 'as is what is not paused');
select is(app_test.error_of($$select app.pause_partition('noQ', 'a', 'bob', 'x')$$) ->> 'code', 'queue_not_found', 'and no queue');
select is(app_test.faults_of($$select app.pause_partition('intentQ', null, ' ', '')$$), 'actor, partition_key, reason', 'every fault');

select results_eq($$select outcome, run_id from app.work('w1', (select jsonb_agg(app_test.done(l)) from lane as l))$$, format('values (%L, %L)', 'continued', :'b'), 'the lane of the other goes on');
select is((select status from app.run_steps where run_id = :'a' and idx = 1), 'ENQUEUED', 'that of the paused one waits in line');
select is_empty($$select * from app_test.work_once(n => 9)$$, 'and is not handed out');
select alike((select e.why || ' | ' || e.held_by || ' | ' || e.unblock from app.explain_run(:'second') as e), '%whose partition a is paused: noisy | ann | select app.unpause_partition(''intentQ'', ''a''%', 'explained');
select is((select row(queue_name, partition_key, reason)::text from app.v_ops_inbox where kind = 'paused partition'), '(intentQ,a,"partition a paused by ann: noisy")', 'in the inbox');
select call from app.v_ops_inbox where kind = 'paused partition' \gset
:call \g /dev/null
select is_empty('select * from app.partitions', 'the call of the inbox lets it go on, and it is like any other');
select is((select array_agg(inline ->> 'op' order by artifact_id) from app.artifacts where run_id = 'queue/intentQ/a'), array['pause', 'unpause'], 'on record');
select is((select count(*) from app_test.work_once(n => 9)), 2::bigint, 'what waited is claimed');
select is_empty('select * from app.v_invariants');
rollback;
