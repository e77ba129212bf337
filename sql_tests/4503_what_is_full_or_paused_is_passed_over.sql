-- A claim looks beyond partitions that may have nothing, at a thousand, and goes on there the next time.
begin;
select plan(9);

select app_test.a_recipe() \g /dev/null
select count(app.start_run(app_test.an_intent('run ' || i), jsonb_build_object('recipeName', 'plain', 'queuePartitionKey', 'p' || lpad(i::text, 4, '0')))) from generate_series(1, 1100) as i \g /dev/null
create function pg_temp.claim(n integer) returns text language sql as $$
  select string_agg(k.partition_key, ' ' order by k.partition_key) from (
    select r.partition_key from app_test.work_once('w1', n => claim.n) as w join app.runs as r using (run_id)) as k $$;
create function pg_temp.from_the_start() returns void language sql as $$ select set_config('sisu.cursor_intentq', '0 0 ', false); select null $$;

select pg_temp.from_the_start(), app.pause_partition('intentQ', 'p0002', 'ann', 'x') \g /dev/null
select is(pg_temp.claim(3), 'p0001 p0003 p0004', 'a paused partition is passed over');
insert into app.partitions (queue_name, partition_key, paused_at, paused_by, pause_reason)
select 'intentQ', 'p' || lpad(i::text, 4, '0'), now(), 'ann', 'x' from generate_series(5, 1095) as i;
select is(pg_temp.claim(3), null, 'a thousand of them are looked at in one call');
select is(pg_temp.claim(3), 'p1096 p1097 p1098', 'the next goes on behind them');
select is(pg_temp.claim(3), 'p1099 p1100', 'up to the end, and round again');
select is(pg_temp.claim(3), null, 'a whole thousand of them still');
delete from app.partitions;
select pg_temp.from_the_start() \g /dev/null
select is(pg_temp.claim(2), 'p0002 p0005', 'served again');

-- a partition without a key is one, too
select app_test.a_run('no key') as plain \gset
select pg_temp.from_the_start(), app.pause_partition('intentQ', '', 'ann', 'x') \g /dev/null
select is(pg_temp.claim(1), 'p0006', 'the partition of runs without a key can be paused');
select pg_temp.from_the_start(), app.unpause_partition('intentQ', '', 'ann', 'x') \g /dev/null
select is(pg_temp.claim(1), '', 'and goes on');
select is_empty('select * from app.v_invariants');
rollback;
