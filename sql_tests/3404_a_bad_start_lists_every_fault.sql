-- Wrong types, ranges, unknown fields and a bad id, all in one answer; nothing is written.
begin;
select plan(11);

select app_test.a_recipe() as r \gset
select app_test.an_intent() as intent \gset
select app_test.footprint() as before \gset
select is(app_test.faulty_fields($$select app.start_run('nonsense', '{"recipeName": 1, "recipeVersion": 0, "queuePartitionKey": 5, "lane": "fast", "priority": -1, "workload": [],
    "budget": {"tasks": -1, "colour": 2}, "timeoutMS": 0, "traceId": "xyz", "tenantId": "", "appVersion": 2, "ocMode": "psychic", "sbxMode": 1, "colour": "red"}')$$),
  'appVersion, budget.colour, budget.tasks, colour, intentId, lane, ocMode, priority, queuePartitionKey, recipeName, recipeVersion, sbxMode, tenantId, timeoutMS, traceId, workload', 'all of them');
select is(app_test.faulty_fields($$select app.start_run(null)$$), 'intentId', 'no id');
select is(app_test.faulty_fields(format($$select app.start_run(%L, '{"intentId": "x"}')$$, :'intent')), 'intentId', 'the id is no option');
select is(app_test.faulty_fields(format($$select app.start_run(%L, '{"traceId": "00000000000000000000000000000000"}')$$, :'intent')), 'traceId', 'a trace id of zeros is none');
select is(app_test.refusal(format('select app.start_run(%L, %L)', :'intent', bad)), 'PT400 schema_violation', 'refused: ' || coalesce(bad, 'null'))
from unnest(array['[]', 'null', '"x"', null]) as bad;
select is(app_test.faulty_fields(format('select app.start_run(%L)', :'intent')), 'recipeName', 'no recipe and no default recipe');
select is(app_test.footprint(), :'before', 'nothing was written');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
