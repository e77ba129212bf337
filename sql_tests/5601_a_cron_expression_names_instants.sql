-- Five fields as in crontab(5): lists, ranges, steps, names, macros, 7 for Sunday; either day field suffices unless one begins with a star.
begin;
select plan(50);

create temp table tick (expression text, after timestamptz, ticks text);
insert into tick values
  ('* * * * *', '2032-01-01 00:00Z', '01-01 00:01, 01-01 00:02'),
  ('* * * * *', '2032-01-01 00:00:59.999999Z', '01-01 00:01, 01-01 00:02'),
  ('*/20 * * * *', '2032-01-01 00:59Z', '01-01 01:00, 01-01 01:20'),
  ('5/20 * * * *', '2032-01-01 00:00Z', '01-01 00:05, 01-01 00:25'),
  ('10-20/5,50 * * * *', '2032-01-01 00:15Z', '01-01 00:20, 01-01 00:50'),
  ('0,0,0 5 * * *', '2032-01-01 00:00Z', '01-01 05:00, 01-02 05:00'),
  ('59 23 * * *', '2031-12-31 23:58Z', '12-31 23:59, 01-01 23:59'),
  ('0 9-17/4 * * *', '2032-01-01 13:00Z', '01-01 17:00, 01-02 09:00'),
  ('30 4 31 * *', '2032-01-31 04:30Z', '03-31 04:30, 05-31 04:30'),
  ('0 0 29 2 *', '2032-01-01 00:00Z', '02-29 00:00, 02-29 00:00'),
  ('0 0 1 JAN,jul *', '2032-01-01 00:00Z', '07-01 00:00, 01-01 00:00'),
  ('0 0 1 feb-apr *', '2032-01-01 00:00Z', '02-01 00:00, 03-01 00:00'),
  ('0 0 * * 7', '2032-01-01 00:00Z', '01-04 00:00, 01-11 00:00'),
  ('0 0 * * 0', '2032-01-01 00:00Z', '01-04 00:00, 01-11 00:00'),
  ('0 0 * * sat,Sun', '2032-01-01 00:00Z', '01-03 00:00, 01-04 00:00'),
  ('0 0 * * mon-wed', '2032-01-06 00:00Z', '01-07 00:00, 01-12 00:00'),
  ('0 0 * * 5-7', '2032-01-03 00:00Z', '01-04 00:00, 01-09 00:00'),
  ('0 0 13 * fri', '2032-01-01 00:00Z', '01-02 00:00, 01-09 00:00'),           -- either
  ('0 0 3 * fri', '2032-01-01 00:00Z', '01-02 00:00, 01-03 00:00'),            -- either
  ('0 0 */2 * fri', '2032-01-01 00:00Z', '01-09 00:00, 01-23 00:00'),          -- both: odd Fridays
  ('0 0 1-7 * */7', '2032-01-01 00:00Z', '01-04 00:00, 02-01 00:00'),          -- both: the first Sunday
  ('@hourly', '2032-01-01 00:00Z', '01-01 01:00, 01-01 02:00'),
  (' @Daily ', '2032-01-01 00:00Z', '01-02 00:00, 01-03 00:00'),
  ('@midnight', '2032-01-01 00:00Z', '01-02 00:00, 01-03 00:00'),
  ('@weekly', '2032-01-01 00:00Z', '01-04 00:00, 01-11 00:00'),
  ('@monthly', '2032-01-01 00:00Z', '02-01 00:00, 03-01 00:00'),
  ('@yearly', '2032-01-01 00:00Z', '01-01 00:00, 01-01 00:00'),
  ('@annually', '2032-01-01 00:00Z', '01-01 00:00, 01-01 00:00'),
  (E'  0\t 12  * * *  ', '2032-01-01 00:00Z', '01-01 12:00, 01-02 12:00');
select is((select string_agg(to_char(t at time zone 'UTC', 'MM-DD HH24:MI'), ', ' order by t) from app.cron_ticks(expression, 'UTC', after, 2) as t), ticks, format('%s after %s', expression, after)) from tick;

-- the twin: what comes right before the next tick's successor is the next tick, and the tick itself is not before itself
select is((select array_agg(expression) from tick where app.cron_previous(expression, 'UTC', app.cron_next(expression, 'UTC', app.cron_next(expression, 'UTC', after)))
  is distinct from app.cron_next(expression, 'UTC', after)), null, 'back from the second tick is the first');
select is((select array_agg(expression) from tick where app.cron_previous(expression, 'UTC', app.cron_next(expression, 'UTC', after) + interval '1 microsecond')
  is distinct from app.cron_next(expression, 'UTC', after)), null, 'back from just after a tick is the tick');
select is((select array_agg(expression) from tick where app.cron_previous(expression, 'UTC', app.cron_next(expression, 'UTC', after)) > after), null, 'there is none in between');
select is(app.cron_previous('0 12 * * *', 'UTC', '2032-01-01 12:00:30Z'), '2032-01-01 12:00Z', 'seconds before');
select is(app.cron_previous('30 4 31 * *', 'UTC', '2032-03-31 04:30Z'), '2032-01-31 04:30Z', 'months back');
select is(app.cron_previous('59 23 31 12 *', 'UTC', '2032-12-31 23:59Z'), '2031-12-31 23:59Z', 'a year back');

select is(app.cron_next('0 0 29 2 *', 'UTC', '2032-02-29 00:00Z'), '2036-02-29 00:00Z', 'four years');
select is(app.cron_next('0 0 29 2 *', 'UTC', '2096-02-29 00:00Z'), '2104-02-29 00:00Z', '2100 is no leap year: eight years');
select is(app.cron_previous('0 0 29 2 *', 'UTC', '2104-02-29 00:00Z'), '2096-02-29 00:00Z', 'and back');
select is(app.cron_next('0 0 30 2 *', 'UTC', '2032-01-01 00:00Z'), null, 'never');
select is(app.cron_previous('* * 31 2,4,6,9,11 *', 'UTC', '2032-01-01 00:00Z'), null, 'never was');
select is(app.cron_next('0 0 31 2 mon', 'UTC', '2032-01-01 00:00Z'), '2032-02-02 00:00Z', 'but Mondays suffice');
select is_empty($$select app.cron_ticks('0 0 30 2 *', 'UTC', now(), 5)$$, 'no ticks');
select is((select count(*) from app.cron_ticks('* * * * *', 'UTC', '2032-01-01 00:00Z', 1000)), 1000::bigint, 'as many as wanted');

-- a zone, away from its changes
select is(app.cron_next('0 9 * * *', 'Europe/Berlin', '2032-01-15 00:00Z'), '2032-01-15 08:00Z', 'winter in Berlin');
select is(app.cron_next('0 9 * * *', 'Europe/Berlin', '2032-07-15 00:00Z'), '2032-07-15 07:00Z', 'summer in Berlin');
select is(app.cron_next('0 0 1 * *', 'Pacific/Auckland', '2032-01-15 00:00Z'), '2032-01-31 11:00Z', 'the day is that of the zone');
select is(app.cron_next('15 */6 * * *', 'Asia/Kathmandu', '2032-01-15 00:00Z'), '2032-01-15 00:30Z', 'a quarter of an hour off');
select is(app.cron_previous('0 9 * * mon', 'America/New_York', '2032-01-15 00:00Z'), '2032-01-12 14:00Z', 'back in New York');
set local timezone = 'America/New_York';
select is(app.cron_next('*/30 * * * *', 'Europe/Berlin', '2032-03-14 06:59Z'), '2032-03-14 07:00Z', 'the zone of the session does not matter');
select is(app.cron_next('*/30 2 14 3 *', 'America/Chicago', '2032-03-13 08:30Z'), '2033-03-14 07:00Z', 'nor do its changes, an hour before those of Chicago');
rollback;
