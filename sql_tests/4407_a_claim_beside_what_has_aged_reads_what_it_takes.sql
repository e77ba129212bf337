-- What has aged is taken first, and then the best of the line, from its front: no walk over all that waits, however the planner got its arguments.
begin;
select plan(4);

-- a version of its own: what is rolled back lies in nobody's way
select app_test.a_recipe(), app_test.a_run('interactive ' || i, options => '{"appVersion": "old"}'), app_test.a_worker() from generate_series(1, 20) as i \g /dev/null
select app.start_runs((select jsonb_agg(jsonb_build_object('recipeName', 'plain', 'lane', 'batch', 'appVersion', 'old',
  'intent', jsonb_build_object('goal', format('batch %s', n), 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb))) from generate_series(1 + 1000 * k, 1000 + 1000 * k) as n))
from generate_series(0, 1) as k \g /dev/null
select app.advance('11 minutes'), set_config('sisu.cursor_intentq', e'0 0 \x01', false) \g /dev/null
select cmp_ok(app_test.reads_of($$ create temp table claimed as select * from app_test.work_once('w1', n => 16, want => '{"appVersion": "old"}') $$), '<', 1000::bigint, 'a claim of sixteen among two thousand');
select results_eq('select priority, count(*) from claimed join app.runs using (run_id) group by 1 order by 1', 'values (1, 12::bigint), (1000, 4)', 'a quarter of it has aged');
select is((select count(distinct run_id) from claimed), 16::bigint, 'each is handed out once');
select is_empty('select * from app.v_invariants');
rollback;
