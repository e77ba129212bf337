-- A rate limit: in no window of its length is more handed out, of the queue as a whole and of each partition.
begin;
select plan(14);

select app_test.a_recipe() \g /dev/null
select app_test.a_run(format('%s %s', p, i), options => jsonb_build_object('queuePartitionKey', p)) from unnest(array['a', 'b']) as p, generate_series(1, 9) as i \g /dev/null
create temp table claimed (at interval, n bigint);
create function pg_temp.claim(n integer) returns bigint language sql as $$ select count(*) from app_test.work_once('w1', n => claim.n) $$;

select app.set_limits('intentQ', '{"rate": {"limit": 3, "seconds": 30}}', 'ann', 'x') \g /dev/null
select is(pg_temp.claim(2), 2::bigint, 'two tokens at once');
select app.advance('20 seconds') \g /dev/null
select is(pg_temp.claim(9), 1::bigint, 'the third of the window');
select is(pg_temp.claim(9), 0::bigint, 'no more');
select is((select rate_left from app.v_ops_queue_fairness where queue_name = 'intentQ' and partition_key = 'a'), 0::bigint, 'the oracle tells');
select app.advance('9 seconds') \g /dev/null
select is(pg_temp.claim(9), 0::bigint, 'none within the thirty seconds');
select app.advance('2 seconds') \g /dev/null
select is(pg_temp.claim(9), 2::bigint, 'those of the first claim are free, that of the second is not: no bucket that fills up');
select app.advance('1 hour') \g /dev/null
select is(pg_temp.claim(9), 3::bigint, 'however long nobody came');
-- a lane that goes on was counted
create temp table lane as select s.* from app.run_steps as s where s.status = 'PENDING' limit 1;
select is((select outcome from app.work('w1', (select jsonb_agg(app_test.done(l)) from lane as l))), 'continued', 'the next step of a lane takes no token');

-- partitions
select app.set_limits('intentQ', '{"rate": null, "ratePerPartition": {"limit": 2, "seconds": 60}}', 'ann', 'x'), app.advance('1 hour') \g /dev/null
select is((select string_agg(k.partition_key || k.n, ' ' order by 1) from (select r.partition_key, count(*) as n from app_test.work_once('w1', n => 9) join app.runs as r using (run_id) group by 1) as k),
  'a2 b2', 'each partition has its own');
select results_eq($$select partition_key, rate_left from app.v_ops_queue_fairness where queue_name = 'intentQ' order by 1$$, $$values ('a' collate "C", 0::bigint), ('b', 0)$$, 'and its own tokens');
select is((select sum(tokens) from app.rate_tokens), 4::bigint, 'tokens that no window reaches are gone');
select app.set_limits('intentQ', '{"ratePerPartition": {"limit": 1, "seconds": 60}}', 'ann', 'x') \g /dev/null
select is(pg_temp.claim(9), 0::bigint, 'a lower rate counts what was used');
select app.set_limits('intentQ', '{"ratePerPartition": null}', 'ann', 'x'), app_test.recover() \g /dev/null
select is_empty('select * from app.rate_tokens', 'a limit that is gone leaves no token');
select is_empty('select * from app.v_invariants', 'a lower rate breaks no law');
rollback;
