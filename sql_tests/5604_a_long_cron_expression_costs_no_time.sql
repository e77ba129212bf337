-- An expression that is too long is refused for that, before it is read; one of many terms costs what its length does.
begin;
select plan(7);

create temp table long as select repeat('*,', 200000) || '* * * * *' as expression;
set local statement_timeout = '4s';
select is(app_test.faults_of(format('select app.cron_next(%L, ''UTC'', now())', expression)), 'expression', 'cron_next') from long;
select is(app_test.faults_of(format('select app.cron_ticks(%L, ''UTC'', now(), 1)', expression)), 'expression', 'cron_ticks') from long;
select is(app_test.faults_of(format('select app.put_schedule(%L, ''ann'', ''x'')', jsonb_build_object('name', 's', 'cron', expression, 'intent', '{"goal": "g", "inputs": {}, "constraints": {}}'::jsonb))), 'cron', 'put_schedule') from long;
select is((select cardinality(f.accepted) from app.cron_field(repeat('*,', 50000) || '*', 0, 59, null) as f), 60, 'a field of many terms is read in no time');
reset statement_timeout;
select is((select row(f.accepted, f.fault)::text from app.cron_field('5,1-3,2,*/30,5', 0, 59, null) as f), '("{0,1,2,3,5,30}",)', 'each value once, in order');
select is(app.cron_next(rpad('*/5 * * * *', 1000), 'UTC', '2024-01-01 00:01 UTC'), '2024-01-01 00:05 UTC', 'as long as it may be');
select is(app_test.faults_of(format('select app.cron_next(%L, ''UTC'', now())', rpad('*/5 * * * *', 1001))), 'expression', 'and longer');
rollback;
