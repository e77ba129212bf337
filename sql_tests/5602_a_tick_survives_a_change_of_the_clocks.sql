-- A time of day that does not exist ticks at the first instant after the gap, one that comes twice ticks the first time; with a star, real time counts.
begin;
select plan(34);

create temp table tick (zone text, expression text, after timestamptz, ticks text, why text);
insert into tick values
  ('Europe/Berlin', '30 2 * * *', '2032-03-27 00:00Z', '27 01:30, 28 01:00, 29 00:30', 'spring: 02:30 does not exist, 03:00 it is'),
  ('Europe/Berlin', '0,15,30,45 2 * * *', '2032-03-28 00:00Z', '28 01:00, 29 00:00, 29 00:15', 'four times in the gap are one tick'),
  ('Europe/Berlin', '30 2,3 * * *', '2032-03-28 00:00Z', '28 01:00, 28 01:30, 29 00:30', 'the gap and what follows it'),
  ('Europe/Berlin', '0 2,3 * * *', '2032-03-28 00:00Z', '28 01:00, 29 00:00, 29 01:00', 'the gap meets what follows it'),
  ('Europe/Berlin', '59 1 * * *', '2032-03-28 00:00Z', '28 00:59, 28 23:59, 29 23:59', 'right before it'),
  ('Europe/Berlin', '30 2 * * *', '2032-10-30 00:00Z', '30 00:30, 31 00:30, 01 01:30', 'autumn: 02:30 comes twice, the first it is'),
  ('Europe/Berlin', '30 2 * * *', '2032-10-31 00:30Z', '01 01:30, 02 01:30, 03 01:30', 'not again'),
  ('Europe/Berlin', '30 2 * * *', '2032-10-31 01:00Z', '01 01:30, 02 01:30, 03 01:30', 'not from in between either'),
  ('Europe/Berlin', '0 3 * * *', '2032-10-30 23:30Z', '31 02:00, 01 02:00, 02 02:00', 'right after it'),
  ('Europe/Berlin', '*/30 * * * *', '2032-03-28 00:30Z', '28 01:00, 28 01:30, 28 02:00', 'spring, in real time'),
  ('Europe/Berlin', '20 * * * *', '2032-03-28 00:00Z', '28 00:20, 28 01:20, 28 02:20', 'spring, every hour'),
  ('Europe/Berlin', '*/30 * * * *', '2032-10-31 00:00Z', '31 00:30, 31 01:00, 31 01:30', 'autumn, in real time'),
  ('Europe/Berlin', '20 * * * *', '2032-10-30 23:30Z', '31 00:20, 31 01:20, 31 02:20', 'autumn, every hour: 25 of them'),
  ('Europe/Berlin', '*/30 2 * * *', '2032-10-31 00:15Z', '31 00:30, 31 01:00, 31 01:30', 'autumn, a star in the minutes'),
  ('Europe/Berlin', '*/30 2 * * *', '2032-03-27 02:00Z', '29 00:00, 29 00:30, 30 00:00', 'spring, a star in the minutes: there is no such hour'),
  ('Europe/Berlin', '@hourly', '2032-10-31 00:30Z', '31 01:00, 31 02:00, 31 03:00', 'a macro is what it stands for'),
  ('Europe/Berlin', '@daily', '2032-10-30 00:00Z', '30 22:00, 31 23:00, 01 23:00', 'days of 25 hours'),
  ('America/New_York', '30 2 * * *', '2032-03-13 08:00Z', '14 07:00, 15 06:30, 16 06:30', 'spring in New York'),
  ('America/New_York', '30 1 * * *', '2032-11-07 00:00Z', '07 05:30, 08 06:30, 09 06:30', 'autumn in New York'),
  ('America/New_York', '*/30 1 * * *', '2032-11-07 05:30Z', '07 06:00, 07 06:30, 08 06:00', 'autumn in New York, in real time'),
  ('Australia/Lord_Howe', '15 2 * * *', '2032-10-02 00:00Z', '02 15:30, 03 15:15, 04 15:15', 'half an hour: 02:15 does not exist, 02:30 it is'),
  ('Australia/Lord_Howe', '45 1 * * *', '2032-04-03 00:00Z', '03 14:45, 04 15:15, 05 15:15', 'half an hour comes twice'),
  ('America/Havana', '30 0 * * *', '2032-03-13 12:00Z', '14 05:00, 15 04:30, 16 04:30', 'midnight does not exist'),
  ('America/St_Johns', '0 0 * * *', '2004-10-30 12:00Z', '31 02:30, 01 03:30, 02 03:30', 'midnight comes twice'),
  ('Pacific/Apia', '0 12 * * *', '2011-12-29 12:00Z', '29 22:00, 30 10:00, 30 22:00', 'a day does not exist'),
  ('Pacific/Apia', '* * * jun *', '2011-09-24 15:12Z', '31 11:00, 31 11:01, 31 11:02', 'a zone that changes by a day on the way'),
  ('UTC', '30 2 * * *', '2032-03-27 03:00Z', '28 02:30, 29 02:30, 30 02:30', 'UTC has no changes');
select is((select string_agg(to_char(t at time zone 'UTC', 'DD HH24:MI'), ', ' order by t) from app.cron_ticks(expression, zone, after, 3) as t), ticks, format('%s %s: %s', zone, expression, why)) from tick;

select is((select array_agg(expression) from tick where array(
    select app.cron_previous(expression, zone, b) from (select app.cron_ticks(expression, zone, after, 3) as b order by b offset 1) as t)
  is distinct from array(select app.cron_ticks(expression, zone, after, 2))), null, 'back from each tick is the one before it');
select is((select array_agg(expression) from tick where app.cron_previous(expression, zone, app.cron_next(expression, zone, after)) > after), null, 'there is none in between');
select is(app.cron_previous('45 2 * * *', 'Europe/Berlin', '2032-10-31 01:15Z'), '2032-10-31 00:45Z', 'in the hour that comes again, back to the first');
select is(app.cron_previous('30 2 * * *', 'Europe/Berlin', '2032-03-28 01:00Z'), '2032-03-27 01:30Z', 'the end of the gap is not before itself');
select is(app.cron_previous('30 2 * * *', 'Europe/Berlin', '2032-03-28 01:00:01Z'), '2032-03-28 01:00Z', 'but after');
select is((select count(*) from app.cron_ticks('0 * * * *', 'Europe/Berlin', '2032-10-30 21:59Z', 26) as t where (t at time zone 'Europe/Berlin')::date = '2032-10-31'), 25::bigint, 'the day has 25 hours');
select is((select count(*) from app.cron_ticks('0 * * * *', 'Europe/Berlin', '2032-03-27 22:59Z', 26) as t where (t at time zone 'Europe/Berlin')::date = '2032-03-28'), 23::bigint, 'that one 23');
rollback;
