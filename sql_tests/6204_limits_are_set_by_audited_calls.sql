-- set_limits and set_partition: closed options, null takes away, what is left out stays, every call on record.
begin;
select plan(19);

select is(app.set_limits('sbxQ', '{"maxRunning": 10, "rate": {"limit": 50, "seconds": 30}}', 'ann', 'busy'),
  '{"accepted": true, "queueName": "sbxQ", "dryRun": false, "limits": {"maxRunning": 10, "maxRunningPerPartition": null, "maxRunningPerWorker": null, "rate": {"limit": 50, "seconds": 30}, "ratePerPartition": null, "ageingSeconds": 600}}', 'the answer has all of them');
select is(app.set_limits('sbxQ', '{"maxRunning": null, "maxRunningPerWorker": 2}', 'ann', 'x') -> 'limits',
  '{"maxRunning": null, "maxRunningPerPartition": null, "maxRunningPerWorker": 2, "rate": {"limit": 50, "seconds": 30}, "ratePerPartition": null, "ageingSeconds": 600}', 'null takes one away');
select is(app.set_limits('sbxQ', '{"rate": null, "ageingSeconds": null}', 'ann', 'x', true) -> 'limits' ->> 'rate', null, 'a dry run says what would be');
select is((select row(rate_limit, rate_seconds, ageing_seconds)::text from app.queues where queue_name = 'sbxQ'), '(50,30,600)', 'and writes nothing');
select is((select jsonb_agg(inline - array['at', 'target', 'targetWorkflowID', 'before', 'limits'] order by artifact_id) from app.artifacts where run_id = 'queue/sbxQ'),
  '[{"op": "limits", "actor": "ann", "reason": "busy"}, {"op": "limits", "actor": "ann", "reason": "x"}]', 'who and why');
select is((select inline #>> '{before,maxRunning}' from app.artifacts where run_id = 'queue/sbxQ' order by artifact_id desc limit 1), '10', 'with what was before');

select is(app_test.faults_of($$select app.set_limits('sbxQ', '{"maxRuning": 1, "maxRunning": 0, "rate": {"limit": "x", "second": 3}, "ratePerPartition": 5}', null, 'x')$$), 'actor', 'the call first');
select is(app_test.faults_of($$select app.set_limits('sbxQ', '{"maxRuning": 1, "maxRunning": 0, "rate": {"limit": "x", "second": 3}, "ratePerPartition": 5}', 'ann', 'x')$$),
  'limits.maxRuning, limits.maxRunning, limits.rate.limit, limits.rate.second, limits.rate.seconds, limits.ratePerPartition', 'every fault by its path');
select is(app_test.faults_of($$select app.set_limits('sbxQ', null, 'ann', 'x')$$), 'limits', 'no limits');
select is(app_test.error_of($$select app.set_limits('noQ', '{}', 'ann', 'x')$$) ->> 'code', 'queue_not_found', 'no queue');

select is(app.set_partition('sbxQ', 'acme', '{"weight": 3}', 'ann', 'pays'), '{"accepted": true, "queueName": "sbxQ", "partition": "acme", "weight": 3, "maxRunning": null, "dryRun": false}', 'a weight');
select is(app.set_partition('sbxQ', 'acme', '{"maxRunning": 5}', 'ann', 'x') - 'queueName', '{"accepted": true, "partition": "acme", "weight": 3, "maxRunning": 5, "dryRun": false}', 'a limit beside it');
select is((select row(weight, max_running)::text from app.v_ops_queue_fairness where queue_name = 'sbxQ'), '(3,5)', 'the oracle tells');
select app.pause_partition('sbxQ', 'acme', 'ann', 'x'), app.set_partition('sbxQ', 'acme', '{"maxRunning": null, "weight": null}', 'ann', 'x') \g /dev/null
select is((select row(weight, max_running, paused_by)::text from app.partitions), '(1,,ann)', 'null takes them back; it is paused still');
select app.unpause_partition('sbxQ', 'acme', 'ann', 'x') \g /dev/null
select is_empty('select * from app.partitions', 'like any other, it needs no row');
select is(app_test.faults_of($$select app.set_partition('sbxQ', 'acme', '{"weight": 101, "maxRunning": 1.5, "weigth": 1}', 'ann', 'x')$$), 'options.maxRunning, options.weight, options.weigth', 'every fault');
select is(app_test.faults_of($$select app.set_partition('sbxQ', null, '[]', ' ', 'x')$$), 'actor, options, partition_key', 'of the call, too');
select is((select array_agg(inline ->> 'op' order by artifact_id) from app.artifacts where run_id = 'queue/sbxQ/acme'), array['partition', 'partition', 'pause', 'partition', 'unpause'], 'all on record');
select is_empty('select * from app.v_invariants');
rollback;
