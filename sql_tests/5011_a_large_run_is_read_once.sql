-- A run with a thousand tasks among ordinary ones, which is what the planner knows of: no call on it reads its tasks once for each of them.
begin;
select plan(9);
select app_test.without_statistics() \g /dev/null

select app_test.a_recipe('fan', '[{"stepId": "Fan", "fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {}]'), app_test.a_run('ordinary ' || i) from generate_series(1, 200) as i \g /dev/null
analyze app.run_steps, app.runs, app.artifacts;
select app_test.a_run('many', 'fan', '{"priority": 0, "budget": {"attempts": 5000}}') as many \gset
select app_test.finish_step(jsonb_build_object('tasks', (select jsonb_agg(i) from generate_series(1, 1000) as i))) \g /dev/null
create temp table lane as select * from app_test.work_once('w1', 'sbxQ', 1000);
select (select jsonb_agg(app_test.lease(l)) from (select * from lane limit 300) as l) as leases,
  (select jsonb_agg(app_test.failed(l)) from (select * from lane offset 300 limit 200) as l) as failed, (select jsonb_agg(app_test.done(l)) from (select * from lane offset 500) as l) as done \gset
select app_test.reads_of(format('select app.heartbeat(''w1'', %L)', :'leases')) as heartbeat, app_test.reads_of(format('select app.release(''w1'', %L)', :'leases')) as release,
  app_test.reads_of(format('select app.work(''w1'', %L, ''{"drain": true}'')', :'failed')) as fails, app_test.reads_of(format('select app.work(''w1'', %L, ''{"drain": true}'')', :'done')) as done,
  app_test.reads_of(format('select app.page_tasks(%L, 0)', :'many')) as page \gset
select app.cancel_run(:'many', 'ann', 'x') \g /dev/null
select app_test.a_run('whole', 'fan', '{"priority": 0}') as whole \gset
select app_test.finish_step(jsonb_build_object('tasks', (select jsonb_agg(i) from generate_series(1, 1000) as i))) \g /dev/null
select app.work('w1', (select jsonb_agg(app_test.done(l)) from app_test.work_once('w1', 'sbxQ', 1000) as l), '{"drain": true}') \g /dev/null
select app_test.reads_of(format('select app.fork_run(%L, 1, ''ann'', ''x'')', :'whole')) as fork \gset
select app_test.reads_of(format('select * from app.fork_diff(%L, %L)', :'whole', run_id)) as diff from app.runs where forked_from = :'whole' \gset
select ok(:heartbeat < 5000, format('a heartbeat of 300 reads %s', :heartbeat));
select ok(:release < 100000, format('their release %s', :release));
select ok(:fails < 15000, format('200 failures of a run with a budget %s', :fails));
select ok(:done < 15000, format('500 results %s', :done));
select ok(:page < 6000, format('a page of tasks %s', :page));
select ok(:fork < 30000, format('a fork %s', :fork));
select ok(:diff < 40000, format('its difference %s', :diff));
select ok((select count(*) > 1000 from app.run_steps as s join app.runs as r using (run_id) where r.forked_from = :'whole'), 'the fork has the tasks');
select is_empty('select * from app.v_invariants');
rollback;
