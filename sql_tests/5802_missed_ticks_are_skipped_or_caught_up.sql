-- Days without a runner: each policy starts what it says, once, and the rest is one row.
begin;
select plan(28);

select app_test.clock_to('2032-01-01 00:30Z') \g /dev/null
select app_test.a_schedule(n, c, m) from (values ('skip', '@hourly', '{}'::jsonb), ('one', '@hourly', '{"catchUp": "one"}'), ('all', '@hourly', '{"catchUp": "all"}'),
  ('cap', '@hourly', '{"catchUp": "all", "catchUpCap": 3}'), ('grace', '@hourly', '{"graceSeconds": 7200}'), ('late', '@hourly', '{"catchUp": "one", "graceSeconds": 7200}')) as v (n, c, m) \g /dev/null
create function pg_temp.ticks(name text) returns text language sql as $$
  select string_agg(case when outcome = 'skipped' then to_char(first_tick_at at time zone 'UTC', 'DDHH24') || '-' else '' end || to_char(tick_at at time zone 'UTC', 'DDHH24')
    || case outcome when 'started' then '' else ' ' || outcome end, ', ' order by tick_at)
  from app.schedule_ticks as t where t.name = $1 $$;
select app_test.clock_to('2032-01-02 05:30Z'), app_test.recover() \g /dev/null
select is(pg_temp.ticks('skip'), '0101-0205 skipped', 'skip starts none');
select is(pg_temp.ticks('one'), '0101-0204 skipped, 0205', 'one starts the newest');
select is(pg_temp.ticks('cap'), '0101-0202 skipped, 0203, 0204, 0205', 'all starts the newest, up to its cap');
select is(pg_temp.ticks('all'), '0101, 0102, 0103, 0104, 0105, 0106, 0107, 0108, 0109, 0110', 'all begins with the oldest, ten a call');
select is(pg_temp.ticks('grace'), '0101-0203 skipped, 0204, 0205', 'what is within the grace starts');
select is(pg_temp.ticks('late'), '0101-0202 skipped, 0203, 0204, 0205', 'beside the newest of the others');
select is((select string_agg(name || ' ' || health, ', ' order by name) from app.v_schedules), 'all catching up, cap ok, grace ok, late ok, one ok, skip ok', 'one is not through');
select is((select string_agg(name || ' ' || to_char(next_at at time zone 'UTC', 'DDHH24'), ', ' order by name) from app.schedules), 'all 0111, cap 0206, grace 0206, late 0206, one 0206, skip 0206', 'the next ticks');
select is((select string_agg((inline ->> 'schedule') || ' ' || (inline ->> 'at'), ', ' order by 1) from (select inline from app.artifacts where inline ->> 'catchUp' = 'false' order by inline ->> 'schedule', inline ->> 'at') as a),
  'grace 2032-01-02T04:00:00Z, grace 2032-01-02T05:00:00Z, late 2032-01-02T04:00:00Z, late 2032-01-02T05:00:00Z', 'only those within the grace are on time');
select is((select (inline -> 'lateMS')::bigint / 60000 from app.artifacts where inline ->> 'schedule' = 'one'), 30::bigint, 'how late the others are');
select is_empty('select * from app.v_invariants', 'in the middle of it');
select app_test.recover(), app_test.recover() \g /dev/null
select is((select count(*) from app.schedule_ticks where name = 'all' and outcome = 'started'), 29::bigint, 'every one');
select is((select owed_until from app.schedules where name = 'all'), null, 'nothing is owed any more');
select is((select count(*) from app.runs), 29 + 1 + 3 + 2 + 3::bigint, 'so many runs');
select app_test.recover() \g /dev/null
select is((select count(*) from app.runs), 38::bigint, 'no more');

-- a tick that comes while others are owed
select app_test.clock_to('2032-01-02 23:30Z'), app_test.recover(), app_test.clock_to('2032-01-03 00:00Z'), app_test.recover(), app_test.recover(), app_test.recover() \g /dev/null
select is((select count(*) from app.schedule_ticks where name = 'all' and outcome = 'started'), 48::bigint, 'all: neither lost nor twice');
select is((select array_agg(name order by name) from app.schedule_ticks where tick_at = '2032-01-03 00:00Z' and outcome = 'started'), array['all', 'cap', 'grace', 'late', 'one', 'skip'], 'the tick of midnight is on time for everybody');

-- a change of the policy while ticks are owed
select app_test.clock_to('2032-01-04 12:30Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.schedule_ticks where name = 'all' and outcome = 'started'), 58::bigint, 'ten of 36');
select app_test.a_schedule('all', '@hourly', '{"catchUp": "skip"}'), app_test.recover() \g /dev/null
select is((select count(*) from app.schedule_ticks where name = 'all' and outcome = 'started'), 58::bigint, 'the new policy decides about the others');
select is((select to_char(first_tick_at at time zone 'UTC', 'DDHH24') || '-' || to_char(tick_at at time zone 'UTC', 'DDHH24') from app.schedule_ticks where name = 'all' and outcome = 'skipped'), '0311-0412', 'as one stretch');

-- a year of minutes costs no more than a few rows
select app.delete_schedule(name, 'ann', 'x') from app.schedules \g /dev/null
select app_test.a_schedule('minutes', '* * * * *', '{"catchUp": "all", "catchUpCap": 1000}'), app_test.a_schedule('skipped', '* * * * *'), app_test.clock_to('2033-01-04 12:30:30Z') \g /dev/null
create temp table begun as select clock_timestamp() as at;
select app_test.recover() \g /dev/null
select is(clock_timestamp() - at < interval '5 seconds', true, 'a year of minutes is no work') from begun;
select is((select (first_tick_at, tick_at)::text from app.schedule_ticks where name = 'skipped' and outcome = 'skipped'), '("2032-01-04 12:31:00+00","2033-01-04 12:29:00+00")', 'the year is one row');
select is((select (first_tick_at, tick_at)::text from app.schedule_ticks where name = 'minutes' and outcome = 'skipped'), '("2032-01-04 12:31:00+00","2033-01-03 19:49:00+00")', 'all but the newest thousand');
select is((select count(*) from app.schedule_ticks where name = 'minutes'), 11::bigint, 'of which ten a call');
select is((select max(tick_at) from app.schedule_ticks where name = 'skipped' and outcome = 'started'), '2033-01-04 12:30Z', 'the tick on time started');

-- clocks that change while nobody looks
select app.delete_schedule(name, 'ann', 'x') from app.schedules \g /dev/null
select app_test.a_schedule('berlin', '30 2 * * *', '{"catchUp": "all", "timezone": "Europe/Berlin"}'), app_test.clock_to('2033-03-26 00:00Z') \g /dev/null
select app.pause_schedule('berlin', 'ann', 'x'), app.unpause_schedule('berlin', 'ann', 'x'), app_test.clock_to('2033-03-29 00:00Z'), app_test.recover() \g /dev/null
select is((select array_agg(tick_at order by tick_at) from app.schedule_ticks where name = 'berlin'), array['2033-03-26 01:30Z', '2033-03-27 01:00Z', '2033-03-28 00:30Z']::timestamptz[], 'spring');
select app.pause_schedule('berlin', 'ann', 'x'), app_test.clock_to('2033-10-29 00:00Z'), app.unpause_schedule('berlin', 'ann', 'x'), app_test.clock_to('2033-11-01 00:00Z'), app_test.recover() \g /dev/null
select is((select array_agg(tick_at order by tick_at) from app.schedule_ticks where name = 'berlin' and tick_at > '2033-06-01'), array['2033-10-29 00:30Z', '2033-10-30 00:30Z', '2033-10-31 01:30Z']::timestamptz[], 'autumn');
select is_empty('select * from app.v_invariants');
rollback;
