-- A call fires up to 20 schedules, up to 10 ticks of each, and those that catch up come after those that do not.
begin;
select plan(12);

select app_test.clock_to('2032-01-01 00:30Z'), app_test.a_recipe() \g /dev/null
select is((select count(app_test.a_schedule(format('s%s', n), '@hourly', '{"catchUp": "all", "catchUpCap": 1000}')) from generate_series(1, 25) as n), 25::bigint, 'schedules that catch up');
select app_test.clock_to('2032-01-01 01:00Z') \g /dev/null
select is(app.fire_schedules(), 20, 'twenty a call');
select is(app.fire_schedules(), 5, 'then the others');
select is(app.fire_schedules(), 0, 'then none');
select is((select count(distinct name) from app.schedule_ticks where outcome = 'started'), 25::bigint, 'each once');
select app_test.clock_to('2032-01-02 01:30Z') \g /dev/null
select is(app.fire_schedules(), 200, 'ten ticks of each');
select is((select count(*) from app.schedules where owed_until is not null), 20::bigint, 'who are owed more');
select app_test.a_schedule('punctual', '* * * * *'), app_test.clock_to('2032-01-02 01:31Z') \g /dev/null
select is(app.fire_schedules(), 1 + 5 * 10 + 14 * 10, 'the next call');
select is((select count(*) from app.schedule_ticks where name = 'punctual'), 1::bigint, 'fires a new tick before what is owed');
select is((select count(*) from app.schedules as s where not exists (select from app.schedule_ticks as e where e.name = s.name and e.tick_at > '2032-01-01 01:00Z')), 0::bigint, 'and nobody waits for long');
select app.fire_schedules() from generate_series(1, 4) \g /dev/null
select is((select count(*) from app.schedule_ticks where outcome = 'started'), 25 * 25 + 1::bigint, 'until nothing is owed');
select is_empty('select * from app.v_invariants');
rollback;
