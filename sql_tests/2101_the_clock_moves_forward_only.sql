-- The engine's clock is the database's plus an offset; only tests move it, and never back.
begin;
select plan(6);

select app.now() as before \gset
select ok(app.advance('7 days') >= :'before'::timestamptz + interval '7 days', 'advance returns the new time');
select ok(app.now() >= :'before'::timestamptz + interval '7 days', 'and the clock shows it');
select app.advance('1 hour') as later \gset
select ok(app.now() >= :'before'::timestamptz + interval '7 days 1 hour', 'advances add up');
select is(app_test.refusal($$select app.advance('-1 second')$$), 'PT400 schema_violation', 'it never goes back');
select ok(app.now() >= :'later'::timestamptz, 'a refused advance moves nothing');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
