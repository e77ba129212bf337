-- app.fail: SQLSTATE, message, DETAIL as JSON with the code, HINT; nothing is left out and nothing leaks in.
begin;
select plan(10);

select is(app_test.error_of($$select app.fail('PT404', 'cat_not_found', 'no cat')$$), '{"sqlstate": "PT404", "code": "cat_not_found", "message": "no cat", "hint": ""}'::jsonb,
  'the short form');
select is(app_test.error_of($$select app.fail('PT400', 'c', 'm', '[{"path": "p", "message": "x"}]', 'do this')$$),
  '{"sqlstate": "PT400", "code": "c", "message": "m", "details": [{"path": "p", "message": "x"}], "hint": "do this"}'::jsonb, 'a list is details');
select is(app_test.error_of($$select app.fail('PT409', 'c', 'm', '{"status": "ERROR", "drift": []}')$$) - 'hint',
  '{"sqlstate": "PT409", "code": "c", "message": "m", "status": "ERROR", "drift": []}'::jsonb, 'an object is merged');
select is(app_test.error_of($$select app.fail('PT409', 'c', 'per cent % and %s')$$) ->> 'message', 'per cent % and %s', 'the message is text, not a format');

select is(app.drift('lane', 'batch'::text, 'interactive'::text), '{"field": "lane", "existing": "batch", "incoming": "interactive"}'::jsonb, 'drift names both sides');
select is(app.drift('lane', 'batch'::text, 'batch'::text), null, 'the same is no drift');
select is(app.drift('tenantId', null::text, null::text), null, 'nor is nothing beside nothing');
select is(app.drift('tenantId', null::text, 't'::text), '{"field": "tenantId", "existing": null, "incoming": "t"}'::jsonb, 'nothing beside something is');
select is(app.drift('budget', '{"a": 1, "b": 2}'::jsonb, '{"b": 2.0, "a": 1}'::jsonb), null, 'JSON is compared as values');

create temp table before as select app_test.everything() as hash;

select app_test.error_of($$select app.create_intent('{"goal": "g", "inputs": {}, "constraints": {}}'), app.fail('PT409', 'late', 'too late')$$) \g /dev/null
select is(app_test.everything(), hash, 'a statement that fails has written nothing') from before;
rollback;
