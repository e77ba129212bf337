-- What a shim and a scrape read: the queues, the versions, who is alive.
begin;
select plan(8);

select app_test.a_run() as run, app_test.a_run('another', 'plain', '{"queuePartitionKey": "p"}') as other \gset
select is((select jsonb_agg(q - array['oldestEnqueuedAt', 'oldestAgeS', 'pausedAt', 'pausedBy', 'pauseReason']) from jsonb_array_elements(app.queue_depth()) as q where q ->> 'queueName' = 'intentQ'),
  '[{"queueName": "intentQ", "queuePartitionKey": null, "enqueued": 1, "pending": 0, "expired": 0, "drainS": null, "isEstimated": false, "limits": {"ageingSeconds": 600}}, {"queueName": "intentQ", "queuePartitionKey": "p", "enqueued": 1, "pending": 0, "expired": 0, "drainS": null, "isEstimated": false, "limits": {"ageingSeconds": 600}}]',
  'depth per queue and partition, in the names of the contract');
select is(jsonb_array_length(app.queue_depth()), 4, 'empty queues are listed');
select lives_ok('select app_test.work_once()', 'a worker claims one');
select is((select q - 'oldestAgeS' from jsonb_array_elements(app.gauges() -> 'queues') as q where q ->> 'queueName' = 'intentQ'),
  '{"queueName": "intentQ", "enqueued": 1, "pending": 1, "expired": 0, "paused": false}', 'a scrape sums the partitions');
select is(app.gauges() -> 'workers', jsonb_build_array(jsonb_build_object('appVersion', app.setting('app_version'), 'alive', 1, 'slots', 10)), 'and counts who is alive');
select set_eq('select jsonb_object_keys(app.health())', array['revision', 'codeHash', 'appVersion', 'ocMode', 'sbxMode', 'missingQueues', 'partitioned'], 'what this database is');
select is(app.health() -> 'missingQueues', '[]', 'no queue is missing');

select is_empty('select * from app.v_invariants');
rollback;
