-- Round robin over partitions: 200 runs of one do not stand before the first of another.
begin;
select plan(8);

select app_test.a_recipe(), app_test.a_worker() \g /dev/null
select app.start_runs((select jsonb_agg(jsonb_build_object('intent', jsonb_build_object('goal', 'a' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb),
  'recipeName', 'plain', 'queuePartitionKey', 'a')) from generate_series(1, 200) as n)) \g /dev/null
select app_test.a_run('b1', options => '{"queuePartitionKey": "b"}') as b \gset
create temp table lane as select * from app_test.work_once(n => 2);
select is((select array_agg(context ->> 'queuePartitionKey' order by context ->> 'queuePartitionKey') from lane), array['a', 'b'], 'the first claim of two has both');

select app_test.a_run('b2', options => '{"queuePartitionKey": "b"}'), app_test.a_run('c1', options => '{"queuePartitionKey": "c"}'), app_test.a_run('none') \g /dev/null
create temp table turns (n integer, key text);
do $$ begin
  for i in 1 .. 4 loop
    insert into turns select i, coalesce(context ->> 'queuePartitionKey', '') from app_test.work_once(n => 1);
  end loop;
end $$;
select set_eq('select key from turns', array['', 'a', 'b', 'c'], 'one by one, each partition has its turn, runs without a key too');
select is((select count(*) from app_test.work_once(n => 10)), 10::bigint, 'a lone partition gets the whole claim');
select is((select array_agg(context #>> '{intent,goal}' order by msg_id) from app_test.work_once(n => 3)), array['a13', 'a14', 'a15'], 'in the order in which they were started');
select app_test.a_run('d' || n, options => '{"queuePartitionKey": "d"}') from generate_series(1, 20) as n \g /dev/null
select is((select array_agg(n order by k) from (select context ->> 'queuePartitionKey' as k, count(*) as n from app_test.work_once(n => 10) group by 1) as x),
  array[5, 5]::bigint[], 'equal shares');
select is((select sum(pending) from app.v_ops_queue_depth where queue_name = 'intentQ'), 29::numeric, 'every claim is a lease');
select is(enqueued, 180::bigint, 'the backlog is counted') from app.v_ops_queue_depth where queue_name = 'intentQ' and partition_key = 'a';
select is_empty('select * from app.v_invariants');
rollback;
