-- Weighted round robin: three to one, claimed one by one, by eight, or by more than there are.
begin;
select plan(10);

select app_test.a_recipe() \g /dev/null
select app_test.a_run(format('%s %s', p, i), options => jsonb_build_object('queuePartitionKey', p)) from unnest(array['heavy', 'light', 'more']) as p, generate_series(1, 40) as i \g /dev/null
create function pg_temp.claim(n integer) returns text language sql as $$
  select string_agg(k.partition_key || k.n, ' ' order by k.partition_key) from (
    select r.partition_key, count(*) as n from app_test.work_once('w1', n => claim.n) as w join app.runs as r using (run_id) group by 1) as k $$;

select set_config('sisu.cursor_intentq', '0 0 ', false) \g /dev/null
select is(pg_temp.claim(3), 'heavy1 light1 more1', 'all alike');
select app.set_partition('intentQ', 'heavy', '{"weight": 3}', 'ann', 'x') \g /dev/null
select is((select string_agg(pg_temp.claim(1), ' ') from generate_series(1, 10)), 'heavy1 heavy1 heavy1 light1 more1 heavy1 heavy1 heavy1 light1 more1', 'one by one, the turn goes on where it stopped');
select is(pg_temp.claim(5) || ', ' || pg_temp.claim(10), 'heavy3 light1 more1, heavy6 light2 more2', 'by as many as a round has');
select is(pg_temp.claim(4) || ', ' || pg_temp.claim(4) || ', ' || pg_temp.claim(2), 'heavy3 light1, heavy3 more1, light1 more1', 'by fewer');
select is((select string_agg(pg_temp.claim(7), ', ') from generate_series(1, 1)), 'heavy6 light1', 'a turn that is cut short');
select is(pg_temp.claim(3), 'heavy1 light1 more1', 'goes on, and those after it have theirs');
select app.set_partition('intentQ', 'light', '{"maxRunning": 1}', 'ann', 'x'), app_test.age_leases('1 hour') \g /dev/null
select app_test.recover() \g /dev/null
select set_config('sisu.cursor_intentq', '0 0 ', false) \g /dev/null
select is(pg_temp.claim(10), 'heavy7 light1 more2', 'what one may not have goes to the others');
select is(pg_temp.claim(100) is not null, true, 'the rest');
select is((select count(*) from app.run_steps where queue_seq is not null), 39::bigint, 'but for the one that is full');
select is_empty('select * from app.v_invariants');
rollback;
