-- A condition is a jsonpath predicate over {intent, outputs, gates}; a step whose condition is not true is SUCCESS without having run.
begin;
select plan(8);

select app_test.a_recipe('choice', '[{"stepId": "A"}, {"stepId": "Big", "needs": ["A"], "when": "$.outputs.A.n > 5"}, {"stepId": "Small", "needs": ["A"], "when": "$.outputs.A.n <= 5"},
  {"stepId": "End", "needs": ["Big", "Small"]}]') \g /dev/null
select app_test.a_run('g', 'choice') as run_id \gset
select app_test.finish_step('{"output": {"n": 7}}') \g /dev/null
select results_eq(format('select step_id, status, skipped from app.run_steps where run_id = %L order by idx', :'run_id'),
  $$values ('A', 'SUCCESS', false), ('Big', 'ENQUEUED', false), ('Small', 'SUCCESS', true)$$, 'one branch is taken, the other skipped');
select is((select kind || ' ' || idx from app.artifacts where run_id = :'run_id' and step_id = 'Small'), 'none 999', 'a skipped step leaves the artifact of one that made nothing');
select app_test.finish_step() \g /dev/null
select is((select status from app.run_steps where run_id = :'run_id' and step_id = 'End'), 'ENQUEUED', 'what needs both goes on');
select app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'to the end');

select app_test.a_recipe('nothing', '[{"when": "$.outputs.S9 == 1"}, {"when": "$.intent.goal == \"other\""}]') \g /dev/null
select is(app_test.status_of(app_test.a_run('all skipped', 'nothing')), 'SUCCESS', 'a run all of whose steps are skipped is over at once');
select is((select started_at is not null and ended_at is not null from app.runs where status = 'SUCCESS' and recipe_id = (select recipe_id from app.recipes where name = 'nothing')), true, 'with its times');
select is(app_test.faults_of($$select app.put_recipe('{"name": "r", "steps": [{"stepId": "A", "handler": "h", "when": "$.a >"}]}')$$), 'steps[0].when', 'what is no jsonpath is refused');
select is_empty('select * from app.v_invariants');
rollback;
