-- A claim that hands out what has aged reads no more than it may hand out, however much that is young waits behind it.
begin;
select plan(5);

-- a version of its own: what is rolled back lies in nobody's way
select app_test.a_recipe(), app_test.a_run('old ' || i, options => '{"lane": "batch", "appVersion": "aged"}') from generate_series(1, 2) as i \g /dev/null
select app.advance('11 minutes') \g /dev/null
select app.start_runs((select jsonb_agg(jsonb_build_object('recipeName', 'plain', 'lane', 'batch', 'appVersion', 'aged',
  'intent', jsonb_build_object('goal', format('young %s', n), 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb))) from generate_series(1 + 1000 * k, 1000 + 1000 * k) as n))
from generate_series(0, 3) as k \g /dev/null
select app_test.a_run('interactive ' || i, options => '{"appVersion": "aged"}'), app_test.a_worker() from generate_series(1, 20) as i \g /dev/null
select set_config('sisu.cursor_intentq', e'0 0 \x01', false) \g /dev/null
select cmp_ok(app_test.reads_of($$ create temp table claimed as select * from app_test.work_once('w1', n => 16, want => '{"appVersion": "aged"}') $$), '<', 1000::bigint, 'a claim of sixteen among thousands');
select results_eq('select priority, count(*) from claimed join app.runs using (run_id) group by 1 order by 1', 'values (1, 14::bigint), (1000, 2)', 'what has aged has its turns, the rest go to the best priority');
select app_test.a_run('best', options => '{"priority": 0, "appVersion": "aged"}') as best \gset
select is((select run_id from app_test.work_once('w1', want => '{"appVersion": "aged"}')), :'best', 'and the next claim begins at the front');
select is((select count(distinct run_id) from app.run_steps where status = 'PENDING'), 17::bigint, 'each is handed out once');
select is_empty('select * from app.v_invariants');
rollback;
