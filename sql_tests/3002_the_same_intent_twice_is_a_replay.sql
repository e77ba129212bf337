-- isReplay is false the first time and true ever after; there is one row.
begin;
select plan(4);

select is(app.create_intent('{"goal":"g","inputs":{},"constraints":{}}') ->> 'isReplay', 'false', 'the first time');
select app_test.footprint() as before \gset
select is(app.create_intent('{"goal":"g","inputs":{},"constraints":{}}') ->> 'isReplay', 'true', 'the second time');
select is(app_test.footprint(), :'before', 'a replay writes nothing');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
