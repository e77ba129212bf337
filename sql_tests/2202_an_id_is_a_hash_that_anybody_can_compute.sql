-- Contract 1: intent ids, task keys, and the hash of an artifact that is none.
begin;
select plan(8);

select is(app.create_intent('{"goal":"Hello bob","inputs":{"n":3},"constraints":{"stepLibrary":{"primitives":["Collect","Fetch","Extract","Normalize","Decide","Act","Report","Legacy"]}}}') ->> 'intentId',
  'ih_17e8647fcabb1957b67f173a68148d8f7ee5acf029d791d4560b812ddeb9a0cd', 'the vector of the contract');
select is(app.create_intent('{"constraints": {"stepLibrary": {"primitives": ["Collect","Fetch","Extract","Normalize","Decide","Act","Report","Legacy"]}}, "connectors": null, "inputs": {"n": 3.0}, "goal": "Hello bob"}'),
  '{"intentId": "ih_17e8647fcabb1957b67f173a68148d8f7ee5acf029d791d4560b812ddeb9a0cd", "isReplay": true}'::jsonb,
  'order of keys, 3.0 for 3 and connectors null make no other intent');
select isnt(app.create_intent('{"goal":"Hello bob","inputs":{"n":3},"constraints":{},"connectors":{"a":1}}') ->> 'intentId',
  app.create_intent('{"goal":"Hello bob","inputs":{"n":3},"constraints":{}}') ->> 'intentId', 'connectors that are given belong to the identity');
select is_empty($$
  select b from (
    select jsonb_build_object('goal', g, 'inputs', i, 'constraints', c) || m as b
    from unnest(array['"g"', '"\u00e9\n\"/\u0001"', '1', 'null', '{}']::jsonb[]) as g, unnest(array['{}', '{"bb": 1.0, "a": [{}, []]}', '[]', '"x"', '1e3']::jsonb[]) as i,
      unnest(array['{}', '{"z": {}, "yy": {"b": 1, "a": null}}', 'false']::jsonb[]) as c, unnest(array['{}', '{"connectors": {}}', '{"a": 1}']::jsonb[]) as m) as v
  where app.intent_id(b) <> 'ih_' || app.sha256_hex(app.canonical_json(b))$$, 'the short way for an intent gives what the long one gives');
select is(app.task_key('r', 'ExecuteST', '{"cmd": "true"}'),
  encode(sha256(convert_to('{"runId":"r","stepId":"ExecuteST","task":{"cmd":"true"}}', 'UTF8')), 'hex'), 'a task key is the sha256 of {runId, stepId, task}');
select is(app.sha256_hex('none'), '140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe', 'the hash of none');
select is(app.sha256_hex('\x00ff'::bytea), encode(sha256('\x00ff'::bytea), 'hex'), 'bytes are hashed as they are');
select is_empty($$
  select t.task from unnest(array['{}', '[]', '"a\"\u00e9"', '7', '1e3', 'null', 'true', '{"b": [1, {"\ue000": 2, "\ud83d\ude00": 3}], "a": {}}', '[[], {"n": 1.50}]']::jsonb[]) as t (task)
  where app.task_key('r"é', 's\t', t.task) is distinct from
    app.sha256_hex(app.canonical_json(jsonb_build_object('runId', 'r"é', 'stepId', 's\t', 'task', t.task)))$$, 'of any task');
rollback;
