-- What a run says it needs must fit what it may use, and so must its recipe.
begin;
select plan(5);

select app_test.a_recipe() as r \gset
select app_test.an_intent() as intent \gset
select is(app_test.error_of(format($$select app.start_run(%L, '{"recipeName": "test", "workload": {"tasks": 6, "attempts": 2}, "budget": {"tasks": 5, "attempts": 1}}')$$, :'intent')) ->> 'code',
  'budget_violation', 'refused');
select is(app_test.faulty_fields(format($$select app.start_run(%L, '{"recipeName": "test", "workload": {"tasks": 6, "attempts": 2}, "budget": {"tasks": 5, "attempts": 1}}')$$, :'intent')),
  'workload.attempts, workload.tasks', 'both are named');
select is(app_test.faulty_fields(format($$select app.start_run(%L, '{"recipeName": "test", "budget": {"steps": 1}}')$$, :'intent')), 'budget.steps', 'a recipe of two steps in a budget of one');
select lives_ok(format($$select app.start_run(%L, '{"recipeName": "test", "workload": {"tasks": 5}, "budget": {"tasks": 5, "steps": 2}}')$$, :'intent'), 'what fits starts');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
