-- Ageing: batch behind interactive is never starved, and interactive keeps three quarters.
begin;
select plan(10);

select app_test.a_recipe() \g /dev/null
select app_test.a_run('batch ' || i, options => '{"lane": "batch"}') from generate_series(1, 5) as i \g /dev/null
select app.advance('9 minutes') \g /dev/null
select app_test.a_run('young batch', options => '{"priority": 500}'), app_test.a_run('interactive ' || i) from generate_series(1, 40) as i \g /dev/null
create function pg_temp.claim(n integer, times integer default 1) returns text language sql as $$
  select string_agg(case r.priority when 1 then '.' when 1000 then 'B' else 'm' end, '' order by w.n, r.priority, r.queue_seq)
  from generate_series(1, times) as n cross join lateral (select n, w.run_id from app_test.work_once('w1', n => claim.n + 0 * n) as w) as w join app.runs as r using (run_id) $$;

select set_config('sisu.cursor_intentq', e'0 0 \x01', false) \g /dev/null
select is(pg_temp.claim(1, 8), '........', 'nobody has aged yet');
select app.advance('2 minutes') \g /dev/null
select set_config('sisu.cursor_intentq', e'0 0 \x01', false) \g /dev/null
select is(pg_temp.claim(1, 8), '...B...B', 'one by one, every fourth');
select is(pg_temp.claim(8), '......BB', 'by eight, two');
select is((select goal from (select distinct i.body ->> 'goal' as goal from app.run_steps as s join app.runs as r using (run_id) join app.intents as i using (intent_id)
  where s.status = 'PENDING' and r.priority = 1000 order by 1 desc limit 1) as g), 'batch 4', 'the oldest first');
select app.set_limits('intentQ', '{"ageingSeconds": null}', 'ann', 'x') \g /dev/null
select is(pg_temp.claim(1, 4), '....', 'null: never');
select app.set_limits('intentQ', '{"ageingSeconds": 1}', 'ann', 'x'), app.advance('2 seconds') \g /dev/null
select is(pg_temp.claim(1, 4), '...B', 'the line whose front has waited longest');
select is(pg_temp.claim(1, 4), '...m', 'then the next');
select is(pg_temp.claim(20), repeat('.', 10), 'what is left, once each');
select is((select count(*) from app.leases()), 41::bigint + 5, 'no step was handed out twice');
select is_empty('select * from app.v_invariants');
rollback;
