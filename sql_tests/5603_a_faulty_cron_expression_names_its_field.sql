-- PT400 lists every faulty field of an expression, the zone and the instant.
begin;
select plan(43);

create temp table bad (expression text, paths text, message text);
insert into bad values
  ('60 * * * *', 'expression.minute', 'must be between 0 and 59, not 60'),
  ('* 24 * * *', 'expression.hour', 'must be between 0 and 23, not 24'),
  ('* * 0 * *', 'expression.day-of-month', 'must be between 1 and 31, not 0'),
  ('* * 32 * *', 'expression.day-of-month', 'must be between 1 and 31, not 32'),
  ('* * * 13 *', 'expression.month', 'must be between 1 and 12, not 13'),
  ('* * * 0 *', 'expression.month', 'must be between 1 and 12, not 0'),
  ('* * * * 8', 'expression.day-of-week', 'must be between 0 and 7, not 8'),
  ('5-70 * * * *', 'expression.minute', 'must be between 0 and 59, not 5-70'),
  ('1,2,99 * * * *', 'expression.minute', 'must be between 0 and 59, not 99'),
  ('30-10 * * * *', 'expression.minute', 'has a range that runs backwards: 30-10'),
  ('* * * * fri-sun', 'expression.day-of-week', 'has a range that runs backwards: fri-sun'),
  ('*/0 * * * *', 'expression.minute', 'has a step of 0: */0'),
  ('x * * * *', 'expression.minute', 'does not understand "x"'),
  ('-1 * * * *', 'expression.minute', 'does not understand "-1"'),
  ('1.5 * * * *', 'expression.minute', 'does not understand "1.5"'),
  ('1- * * * *', 'expression.minute', 'does not understand "1-"'),
  ('1/ * * * *', 'expression.minute', 'does not understand "1/"'),
  ('*-5 * * * *', 'expression.minute', 'does not understand "*-5"'),
  ('1,,2 * * * *', 'expression.minute', 'does not understand ""'),
  ('? * * * *', 'expression.minute', 'does not understand "?"'),
  ('99999999999999999999 * * * *', 'expression.minute', 'does not understand "99999999999999999999"'),
  ('* mon * * *', 'expression.hour', 'does not understand "mon"'),
  ('* * L * *', 'expression.day-of-month', 'does not understand "l"'),
  ('* * * january *', 'expression.month', 'does not understand "january"'),
  ('* * * * mon#2', 'expression.day-of-week', 'does not understand "mon#2"'),
  ('* * * *', 'expression', null),
  ('0 * * * * *', 'expression', null),
  ('@reboot', 'expression', null),
  ('', 'expression', 'must have between 1 and 1000 characters'),
  (null, 'expression', 'is required'),
  ('60 24 32 13 8', 'expression.day-of-month, expression.day-of-week, expression.hour, expression.minute, expression.month', null);
select is(app_test.faults_of(format('select app.cron_next(%L, ''UTC'', now())', expression)), paths, coalesce(expression, 'null')) from bad;
select is((select array_agg(expression) from bad cross join app_test.error_of(format('select app.cron_next(%L, ''UTC'', now())', expression)) as e
  where e #>> '{details,0,message}' is distinct from message and message is not null), null, 'in these words');
select is((select array_agg(expression) from bad where app_test.faults_of(format('select app.cron_previous(%L, ''UTC'', now())', expression)) is distinct from paths), null, 'so does cron_previous');
select is((select array_agg(expression) from bad where app_test.faults_of(format('select app.cron_ticks(%L, ''UTC'', now(), 1)', expression)) is distinct from paths), null, 'and cron_ticks');
select is(app_test.faults_of($$select app.cron_next('* * * * *', 'Mars/Olympus', now())$$), 'timezone', 'a zone that does not exist');
select is(app_test.faults_of($$select app.cron_next('* * * * *', null, now())$$), 'timezone', 'none');
select is(app_test.faults_of($$select app.cron_next('* * * * *', ' ', now())$$), 'timezone, timezone', 'a blank one');
select is(app_test.faults_of($$select app.cron_next('* * * * *', 'UTC', null)$$), 'after', 'no instant');
select is(app_test.faults_of($$select app.cron_next('* * * * *', 'UTC', 'infinity')$$), 'after', 'the end of time');
select is(app_test.faults_of($$select app.cron_previous('x * * * *', 'Mars/Olympus', '-infinity')$$), 'before, expression.minute, timezone', 'every fault at once');
select is(app_test.faults_of(format('select app.cron_ticks(''* * * * *'', ''UTC'', now(), %s)', n)), 'n', 'n is ' || n) from unnest(array['0', '1001', 'null']) as n;
rollback;
