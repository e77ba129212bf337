-- Two steps of a run that bring tasks in one call have one budget between them, as if they had come one after the other.
begin;
select plan(9);

select app_test.a_recipe('two', '[{"needs": [], "fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {"needs": [], "fanOut": {"queue": "sbxQ", "handler": "t/task"}}]'),
  app_test.a_recipe('maps', '[{}, {"needs": ["S0"], "map": {"over": "$.outputs.S0[*]", "queue": "sbxQ", "handler": "t/a"}},
    {"needs": ["S0"], "map": {"over": "$.outputs.S0[*]", "queue": "sbxQ", "handler": "t/b"}}]') \g /dev/null
create function pg_temp.outcome(goal text, budget jsonb) returns text language plpgsql as $$
declare
  id text := app_test.a_run(goal, 'two', jsonb_build_object('budget', budget));
begin
  perform app.work('w1', (select jsonb_agg(app_test.done(w, '{"tasks": [1, 2]}')) from app_test.work_once(n => 2) as w), '{}');
  return (select concat_ws(' ', r.status, r.error ->> 'code', (select count(*) from app.run_steps as s where s.run_id = id and s.task_key <> '' and s.status = 'ENQUEUED'))
    from app.runs as r where r.run_id = id);
end $$;
select is(pg_temp.outcome('as many', '{"tasks": 4}'), 'PENDING 4', 'as many as the budget');
select is(pg_temp.outcome('more', '{"tasks": 3}'), 'ERROR budget_violation 0', 'more in two steps');
select is(error ->> 'message', '2 tasks more, the budget allows 3 and 2 were made', 'says why') from app.runs where run_id = app_test.an_intent('more');
select is(pg_temp.outcome('attempts', '{"attempts": 6}'), 'PENDING 4', 'as many attempts');
select is(pg_temp.outcome('more attempts', '{"attempts": 5}'), 'ERROR budget_violation 0', 'more attempts');

-- maps that begin together
create function pg_temp.mapped(goal text, budget jsonb) returns text language plpgsql as $$
declare
  id text := app_test.a_run(goal, 'maps', jsonb_build_object('budget', budget));
begin
  perform app_test.finish_step('{"output": [1, 2]}');
  return (select concat_ws(' ', r.status, r.error ->> 'code') from app.runs as r where r.run_id = id);
end $$;
select is(pg_temp.mapped('maps', '{"tasks": 4}'), 'PENDING', 'two maps within the budget');
select is(pg_temp.mapped('more maps', '{"tasks": 3}'), 'ERROR budget_violation', 'two maps beyond it');

-- a step that is made again brings the same tasks: they count once
create temp table lane as select * from (select app_test.a_run('again', 'two', '{"budget": {"tasks": 4}}')) as r, app_test.work_once(n => 2);
select app.work('w1', (select jsonb_agg(app_test.done(l, '{"tasks": [1, 2]}')) from lane as l), '{}') \g /dev/null
select app_test.failed(w) as result into temp broken from app_test.work_once(queue => 'sbxQ', n => 99) as w where w.run_id = app_test.an_intent('again');
select app.work('w1', (select jsonb_agg(result) from broken), '{}'), app.repair_run(app_test.an_intent('again'), 'ann', 'again') \g /dev/null
select app.work('w1', (select jsonb_agg(app_test.done(w, '{"tasks": [1, 2]}')) from app_test.work_once(n => 2) as w), '{}') \g /dev/null
select is((status, error)::text, '(PENDING,)', 'what comes again counts once') from app.runs where run_id = app_test.an_intent('again');
select is_empty('select * from app.v_invariants');
rollback;
