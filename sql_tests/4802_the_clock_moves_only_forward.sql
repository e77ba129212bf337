-- app.now() is the database clock and an offset that only tests set.
begin;
select plan(4);

select ok(abs(extract(epoch from app.now() - clock_timestamp())) < 1, 'without an offset it is the database clock');
select ok(t - clock_timestamp() between interval '59 minutes' and interval '61 minutes', 'advance moves it') from app.advance('1 hour') as t;
select ok(t - clock_timestamp() between interval '24 hours 59 minutes' and interval '25 hours 1 minute', 'and adds up') from app.advance('1 day') as t;
select is(app_test.error_of($$select app.advance('-1 hour')$$) ->> 'sqlstate', 'PT400', 'never back');
rollback;
