-- app_version parity: of the worker's want, or the setting.
begin;
select plan(6);

select app_test.a_recipe(), app.put_setting('app_version', '"1"'), app_test.a_worker(),
  app_test.a_run('one'), app_test.a_run('two', options => '{"appVersion": "2"}') \g /dev/null
select is((select array_agg(context #>> '{intent,goal}') from app_test.work_once(n => 5)), array['one'], 'without a version it is that of the settings');
select is_empty($$select * from app_test.work_once(n => 5, want => '{"appVersion": "3"}')$$, 'no run of this version');
select is((select array_agg(context #>> '{intent,goal}') from app_test.work_once(n => 5, want => '{"appVersion": "2"}')), array['two'], 'a worker of the version');
select is_empty($$select * from app_test.work_once(queue => 'sbxQ', n => 5)$$, 'another queue has nothing');
select is_empty($$select * from app_test.work_once(n => 0)$$, 'who wants none gets none');
select is_empty('select * from app.v_invariants');
rollback;
