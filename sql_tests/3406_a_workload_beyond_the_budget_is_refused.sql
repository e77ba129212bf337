-- budget_violation: what the caller expects must fit what the run may use, and so must the recipe's steps.
begin;
select plan(7);

select app_test.a_recipe() \g /dev/null
create temp table i as select app_test.an_intent() as id;
create function pg_temp.refusal(options text) returns jsonb language sql as
  $$ select app_test.error_of(format('select app.start_run(%L, %L)', i.id, '{"recipeName": "plain"}'::jsonb || options::jsonb)) from i $$;

create temp table e as select pg_temp.refusal('{"workload": {"steps": 2, "tasks": 9, "attempts": 5}, "budget": {"steps": 2, "tasks": 8, "attempts": 4}}') as error;
select is((error ->> 'sqlstate') || (error ->> 'code'), 'PT400budget_violation', 'workload over budget') from e;
select set_eq($$select f ->> 'path' from e, jsonb_array_elements(error -> 'details') as f$$, array['workload.tasks', 'workload.attempts'], 'every one of them is named');
select is(pg_temp.refusal('{"budget": {"steps": 1}}') #>> '{details,0,path}', 'budget.steps', 'a budget below the steps of the recipe');
select is((select count(*) from app.runs), 0::bigint, 'nothing is written');
select is(pg_temp.refusal('{"workload": {"tasks": 8}, "budget": {"tasks": 8, "steps": 2}}'), null, 'as much as the budget is fine');
select is((select workload || jsonb_build_object('budget', budget) from app.runs), '{"tasks": 8, "budget": {"tasks": 8, "steps": 2}}'::jsonb, 'both are kept');
select is_empty('select * from app.v_invariants');
rollback;
