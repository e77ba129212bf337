-- An intent posted twice is stored once; the second answer is a replay.
begin;
select plan(6);

create temp table answer as select app.create_intent('{"goal": "g", "inputs": {"a": 1}, "constraints": {}}') as first;
select is(first -> 'isReplay', 'false'::jsonb, 'the first time it is new') from answer;
create temp table before as select app_test.everything() as hash;
select is(app.create_intent('{"constraints": {}, "inputs": {"a": 1.0}, "goal": "g", "connectors": null}'), first || '{"isReplay": true}', 'then it is a replay') from answer;
select is(app_test.everything(), hash, 'and nothing is written') from before;
select is((select count(*) from app.intents where intent_id = first ->> 'intentId'), 1::bigint, 'one row') from answer;
select is((select body from app.intents where intent_id = first ->> 'intentId'), '{"goal": "g", "inputs": {"a": 1}, "constraints": {}}'::jsonb, 'the intent as given') from answer;
select isnt(app.create_intent('{"goal": "g", "inputs": {"a": 2}, "constraints": {}}') ->> 'intentId', first ->> 'intentId', 'another content is another intent') from answer;
rollback;
