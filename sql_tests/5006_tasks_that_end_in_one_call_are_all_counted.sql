-- A batch with several tasks of one step counts each of them, good and bad.
begin;
select plan(8);

select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {}]'), app_test.a_run('g', 'fan') as run_id \gset
select app_test.finish_step('{"tasks": [1, 2, 3, 4]}') \g /dev/null
create temp table lane as select * from app_test.work_once('w1', 'sbxQ', 4);
select is((select tasks_open from app.run_steps where task_key = ''), 4, 'the step waits for four');
select is_empty($$select w.* from (select jsonb_agg(app_test.done(l)) as results from lane as l where l.context -> 'task' in ('1', '2', '3')) as x, app.work('w1', x.results) as w$$,
  'three end in one call');
select is((select tasks_open from app.run_steps where task_key = ''), 1, 'three are counted');
select is((select status from app.run_steps where task_key = ''), 'PENDING', 'the step waits for the fourth');
select app_test.report(app_test.done(l)) from lane as l where l.context -> 'task' = '4' \g /dev/null
select is((select status || ' ' || tasks_open from app.run_steps where task_key = '' and idx = 0), 'SUCCESS 0', 'the fourth ends it');

select app_test.a_run('all at once', 'fan') as other \gset
select app_test.finish_step() \g /dev/null
select app_test.finish_step('{"tasks": [1, 2, 3]}') \g /dev/null
create temp table all_lanes as select * from app_test.work_once('w1', 'sbxQ', 3);
select app.work('w1', (select jsonb_agg(case l.context -> 'task' when '2' then app_test.failed(l) else app_test.done(l) end) from all_lanes as l)) \g /dev/null
select is((select status || ' ' || tasks_open from app.run_steps where run_id = :'other' and task_key = ''), 'ERROR 0', 'all in one call, one of them bad: the step is ERROR');
select is(app_test.status_of(:'other'), 'ERROR', 'and so is its run');
select is_empty('select * from app.v_invariants');
rollback;
