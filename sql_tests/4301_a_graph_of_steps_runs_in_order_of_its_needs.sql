-- A step begins once all it needs have succeeded: branches run side by side, a join waits for both, the run ends with the last of them.
begin;
select plan(12);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.step_id || ' ' || s.status, ', ' order by s.idx, s.attempt) from app.run_steps as s where s.run_id = $1 and s.task_key = '' $$;
select app_test.a_recipe('diamond', '[{"stepId": "A"}, {"stepId": "B", "needs": ["A"]}, {"stepId": "C", "needs": ["A"]}, {"stepId": "D", "needs": ["B", "C"]}]') \g /dev/null
select is((select array_agg(needs::text order by idx) from app.recipe_steps join app.recipes using (recipe_id) where name = 'diamond'), array['{}', '{0}', '{0}', '{1,2}'], 'needs become indexes');
select app_test.a_run('g', 'diamond') as run_id \gset
select is(pg_temp.steps(:'run_id'), 'A ENQUEUED', 'only what needs nothing begins');
select app_test.finish_step('{"output": "a"}') \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, B ENQUEUED, C ENQUEUED', 'then both branches');
create temp table branch as select * from app_test.work_once('w1', 'intentQ', 5);
select is((select array_agg(step_id order by step_id) from branch), array['B', 'C'], 'which are claimed side by side');
select is((select array_agg(distinct context -> 'outputs') from branch), array['{"A": "a"}'::jsonb], 'with the output of what they need');
select count(*) from app.work('w1', (select jsonb_agg(app_test.done(b, '{"output": "b"}')) from branch as b where step_id = 'B')) \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, B SUCCESS, C PENDING', 'a join waits for all it needs');
select count(*) from app.work('w1', (select jsonb_agg(app_test.done(b, '{"output": "c"}')) from branch as b where step_id = 'C')) \g /dev/null
select is(pg_temp.steps(:'run_id'), 'A SUCCESS, B SUCCESS, C SUCCESS, D ENQUEUED', 'then begins');
select app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'the run ends with the last step');

-- two branches that end in one call; one that fails ends the run, and the other's successor never begins
select app_test.a_run('both', 'diamond') as both \gset
select app_test.finish_step() \g /dev/null
create temp table pair as select * from app_test.work_once('w1', 'intentQ', 5);
select count(*) from app.work('w1', (select jsonb_agg(app_test.done(b)) from pair as b)) \g /dev/null
select is(pg_temp.steps(:'both'), 'A SUCCESS, B SUCCESS, C SUCCESS, D ENQUEUED', 'ended in one call, both count');
select app_test.a_run('bad', 'diamond', '{"priority": 0}') as bad \gset
select app_test.finish_step() \g /dev/null
create temp table unlucky as select * from app_test.work_once('w1', 'intentQ', 2);
select count(*) from app.work('w1', (select jsonb_agg(case step_id when 'B' then app_test.failed(b) else app_test.done(b) end) from unlucky as b)) \g /dev/null
select is(app_test.status_of(:'bad') || ' ' || pg_temp.steps(:'bad'), 'ERROR A SUCCESS, B ERROR, C SUCCESS', 'a step that fails ends the run');
select app.repair_run(:'bad', 'ann', 'again') \g /dev/null
select is(pg_temp.steps(:'bad'), 'A SUCCESS, B ERROR, B ENQUEUED, C SUCCESS', 'repaired, only that step runs again');
select is_empty('select * from app.v_invariants');
rollback;
