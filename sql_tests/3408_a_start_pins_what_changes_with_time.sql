-- Recipe version, app version and modes of a run are those of its start; later settings do not change it.
begin;
select plan(7);

select app_test.a_recipe(), app.put_setting('default_recipe', '"plain"'), app.put_setting('app_version', '"1"'), app.put_setting('oc_mode', '"replay"') \g /dev/null
select app_test.an_intent() as id \gset
select is(app.start_run(:'id') ->> 'workflowName', 'plain', 'the default recipe');
select app_test.a_recipe('plain', '[{}]'), app.put_setting('app_version', '"2"'), app.put_setting('oc_mode', '"live"'), app.put_setting('sbx_mode', '"live"') \g /dev/null
select is(app.start_run(:'id') -> 'isReplay', 'true'::jsonb, 'the same start is still the same start');
select is(app.get_run(:'id') -> 'recipe', '{"name": "plain", "version": 1}'::jsonb, 'recipe version');
select is(app.get_run(:'id') ->> 'appVersion', '1', 'app version');
select is((app.get_run(:'id') ->> 'ocMode') || (app.get_run(:'id') ->> 'sbxMode'), 'replaymock', 'modes');
select matches(app.get_run(:'id') ->> 'traceId', '^[0-9a-f]{32}$', 'a trace id was made');
delete from app.settings where key = 'default_recipe';
select is(app_test.error_of(format('select app.start_run(%L)', app_test.an_intent('2'))) #>> '{details,0,path}', 'recipeName', 'without a default it must be named');
rollback;
