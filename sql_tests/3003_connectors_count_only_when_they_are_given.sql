-- connectors: null is the same intent as none; anything else is another intent.
begin;
select plan(4);

select app_test.an_intent('g') as plain \gset
select is(app.create_intent('{"goal":"g","inputs":{},"constraints":{},"connectors":null}') ->> 'intentId', :'plain', 'null is none');
select isnt(app.create_intent('{"goal":"g","inputs":{},"constraints":{},"connectors":[]}') ->> 'intentId', :'plain', 'an empty list is given');
select is((select count(*) from app.intents where body ? 'connectors')::integer, 1, 'only the given ones are stored');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
