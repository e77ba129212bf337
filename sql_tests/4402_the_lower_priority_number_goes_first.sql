-- Within a partition: priority, then age. interactive (1) goes before batch (1000).
begin;
select plan(4);

select app_test.a_recipe(), app_test.a_run('batch', options => '{"lane": "batch"}'), app_test.a_run('old'), app_test.a_run('new'),
  app_test.a_run('urgent', options => '{"priority": 0}'), app_test.a_run('batch but 2', options => '{"lane": "batch", "priority": 2}') \g /dev/null
select is((select array_agg(context #>> '{intent,goal}' order by msg_id) from app_test.work_once(n => 5)), array['urgent', 'old', 'new', 'batch but 2', 'batch'], 'the order of a claim');
select is((select count(*) from app_test.work_once(n => 5)), 0::bigint, 'nothing is claimed twice');

select app_test.a_run('first'), app_test.a_run('second') \g /dev/null
select app_test.finish_step(), app_test.a_run('third') \g /dev/null
select is((select array_agg((context #>> '{intent,goal}') || idx order by msg_id) from app_test.work_once(n => 3)), array['first1', 'second0', 'third0'], 'a run keeps its place in line for its later steps');
select is_empty('select * from app.v_invariants');
rollback;
