-- What it takes to claim, commit, explain and show a task does not grow with its siblings; every task is told the outputs so far.
begin;
select plan(8);
select app_test.without_statistics() \g /dev/null

select app_test.a_recipe('fan', '[{"stepId": "First"}, {"stepId": "Fan", "fanOut": {"queue": "sbxQ", "handler": "t/task"}}]') \g /dev/null
create function pg_temp.blocks() returns bigint language sql as $$
  select pg_stat_get_xact_blocks_fetched('app.run_steps_pkey'::regclass) $$;
-- A run up to its n tasks; pages of the attempts' index that a claim of 50 tasks and their commit then look at.
create function pg_temp.blocks_of(goal text, n integer) returns bigint language plpgsql as $$
declare
  before bigint;
  lanes jsonb;
begin
  perform app_test.a_run(goal, 'fan'), app_test.finish_step('{"output": {"goal": 1}}'),
    app_test.finish_step(jsonb_build_object('tasks', (select jsonb_agg(i) from generate_series(1, n) as i)));
  before := pg_temp.blocks();
  select jsonb_agg(to_jsonb(w)) into lanes from app_test.work_once(queue => 'sbxQ', n => 50) as w;
  insert into told select w.value #> '{context,outputs}' from jsonb_array_elements(lanes) as w;
  perform app.work('w1', (select jsonb_agg(app_test.done(w)) from jsonb_populate_recordset(null::app.assignment, lanes) as w), '{"drain": true}');
  return pg_temp.blocks() - before;
end $$;
create temp table told (outputs jsonb);

select pg_temp.blocks_of('warm', 50) \g /dev/null
select pg_temp.blocks_of('few', 50) as few \gset
select pg_temp.blocks_of('many', 1000) as many \gset
select ok(:few > 100, 'pages are counted');
select ok(:many < 2 * :few, format('fifty tasks of fifty look at %s pages, fifty of a thousand at %s', :few, :many));
select is((select count(*) from told), 150::bigint, 'they were claimed');
select is((select jsonb_agg(distinct outputs) from told), '[{"First": {"goal": 1}}]'::jsonb, 'and each was told what the steps before put out');

select app_test.reads_of(format('select app.explain_run(%L)', app_test.an_intent('many'))) as explain, app_test.reads_of(format('select app.get_steps(%L)', app_test.an_intent('many'))) as steps,
  app_test.reads_of(format('select * from app.v_run_timeline where run_id = %L', app_test.an_intent('many'))) as timeline \gset
select ok(:explain < 10000, format('to explain a run with a thousand tasks reads %s entries', :explain));
select ok(:steps < 10000, format('to tell its steps reads %s', :steps));
select ok(:timeline < 10000, format('its timeline reads %s', :timeline));
select is_empty('select * from app.v_invariants');
rollback;
