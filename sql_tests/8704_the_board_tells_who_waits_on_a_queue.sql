-- page_queues: queues in numbers, the partitions that wait longest, and who paused what.
begin;
select plan(14);
select app_test.a_run('first', options => '{"queuePartitionKey": "slow"}') \g /dev/null
select app.advance('1 minute') \g /dev/null
select app_test.a_run('second', options => '{"queuePartitionKey": "quick"}'), app_test.a_run('third', options => '{"queuePartitionKey": "quick"}') \g /dev/null
select app.pause_queue('sbxQ', 'ann', 'too hot') \g /dev/null
create temp table told as select app.page_queues() as page;

select is(jsonb_path_query_array(page, '$.queues[*].queueName'), '["controlQ", "intentQ", "sbxQ"]', 'every queue is there') from told;
select ok(page #> '{queues,1}' @> '{"enqueued": 3, "pending": 0, "partitions": 2, "oldestAgeS": 60}', 'with what waits on it, over its partitions') from told;
select is(page #>> '{queues,2,pauseReason}', 'too hot', 'and why it is paused') from told;
select is(jsonb_path_query_array(page, '$.partitions[*].partition'), '["slow", "quick"]', 'who waits longest comes first') from told;
select is(jsonb_path_query_array(page, '$.partitions[*].waiting'), '[1, 2]', 'with its line') from told;
select is(page #> '{partitions,0,rateLeft}', 'null', 'and no rate where there is none') from told;
select is(page #>> '{audit,0,inline,reason}', 'too hot', 'who paused a queue, and why') from told;
select is(app.page_queues('sbxQ') -> 'partitions', '[]', 'of one queue alone');
select is(jsonb_array_length(app.page_queues('intentQ') -> 'partitions'), 2, 'of another');
select is(app_test.error_of($$select app.page_queues('')$$) ->> 'code', 'schema_violation', 'PT400 for a name that is none');

select app.pause_partition('intentQ', 'quick', 'bob', 'a noisy neighbour') \g /dev/null
select ok(app.page_queues() #> '{audit,0}' @> '{"queueName": "intentQ", "partition": "quick", "inline": {"actor": "bob"}}', 'and who paused a partition');
select app.unpause_partition('intentQ', 'quick', 'bob', 'it is quiet') \g /dev/null
create temp table lane as select * from app_test.work_once();
select ok(app.page_queues() #> '{queues,1}' @> '{"enqueued": 2, "pending": 1}', 'a step that is claimed is at work');
select is(jsonb_path_query_first(app.page_queues(), '$.partitions[*] ? (@.running == 1).servedShare') #>> '{}', '1.000', 'and is all that is served');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
