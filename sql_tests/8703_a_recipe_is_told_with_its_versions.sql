-- page_recipes, page_recipe.
begin;
select plan(10);
select app_test.a_recipe('r', '[{"stepId": "A"}, {"stepId": "B", "gate": {"key": "g", "kind": "input"}}]', '{"inputSchema": {"type": "object"}}') \g /dev/null
select app.put_recipe('{"name": "r", "steps": [{"stepId": "A", "handler": "t/a"}, {"stepId": "B", "handler": "t/b"}, {"stepId": "C", "handler": "t/c", "needs": ["A"]}]}') \g /dev/null
select is(jsonb_path_query_first(app.page_recipes(), '$[*] ? (@.name == "r")') -> 'version', '1', 'the active version is shown');
select is(jsonb_path_query_first(app.page_recipes(), '$[*] ? (@.name == "r")') -> 'versions', '2', 'and how many there are');
select is(app.page_recipe('r') -> 'version', '1', 'without a version it is the active one');
select is(app.page_recipe('r') #>> '{steps,1,gates,0,gateKey}', 'g', 'with its gates');
select is(app.page_recipe('r') -> 'inputSchema', '{"type": "object"}', 'and what its inputs look like');
select is(app.page_recipe('r', 2) #> '{steps,2,needs}', '[0]', 'a version that is asked for, with what its steps need');
select is(jsonb_path_query_array(app.page_recipe('r', 2), '$.versions[*].status'), '["draft", "active"]', 'and the versions');
select is(app_test.error_of('select app.page_recipe(''r'', 3)') ->> 'code', 'recipe_not_found', 'no such version');
select is(app_test.error_of('select app.page_recipe(''nope'')') ->> 'code', 'recipe_not_found', 'no such recipe');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
