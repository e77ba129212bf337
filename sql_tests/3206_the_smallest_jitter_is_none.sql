-- A jitter that is too small for a double counts as 0; every other is kept as it is.
begin;
select plan(2);

select app.put_recipe(format('{"name": "r", "steps": [
  {"stepId": "A", "handler": "h", "retry": {"backoff": {"jitter": 1e-400, "factor": 1.%s1}}},
  {"stepId": "B", "handler": "h", "retry": {"backoff": {"jitter": 0.123456789012345678}}},
  {"stepId": "C", "map": {"over": "$.a", "queue": "sbxQ", "handler": "h", "retry": {"backoff": {"jitter": 1e-400}}}}]}', repeat('0', 500))::jsonb) \g /dev/null
select is((select array_agg(row(backoff_jitter, backoff_factor, fan_backoff_jitter)::text order by idx) from app.recipe_steps where recipe_id = (select max(recipe_id) from app.recipes)),
  array['(0,1,0.1)', '(0.12345678901234568,2,0.1)', '(0.1,2,0)'], 'as the rows have them');
select is_empty('select * from app.v_invariants');
rollback;
