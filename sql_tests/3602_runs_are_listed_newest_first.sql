-- list_runs: order, filters, pages without gaps or repeats, also among runs of one instant.
begin;
select plan(10);

select app_test.a_recipe(), app_test.a_recipe('other') \g /dev/null
select app.start_runs((select jsonb_agg(jsonb_build_object('intent', jsonb_build_object('goal', 'same ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb),
  'recipeName', 'plain')) from generate_series(1, 5) as n)) \g /dev/null
select app_test.a_run('late', 'other') as late \gset
create temp table pages (n integer, page jsonb);
insert into pages values (1, app.list_runs('{"limit": 2}'));
insert into pages select 2, app.list_runs(jsonb_build_object('limit', 2, 'cursor', page -> 'nextCursor')) from pages where n = 1;
insert into pages select 3, app.list_runs(jsonb_build_object('limit', 2, 'cursor', page -> 'nextCursor')) from pages where n = 2;
insert into pages select 4, app.list_runs(jsonb_build_object('limit', 2, 'cursor', page -> 'nextCursor')) from pages where n = 3;
select is(page #>> '{runs,0,workflowID}', :'late', 'the newest is first') from pages where n = 1;
select is((select count(*) from pages, jsonb_array_elements(page -> 'runs')), 6::bigint, 'pages hold every run');
select is((select count(distinct r ->> 'workflowID') from pages, jsonb_array_elements(page -> 'runs') as r), 6::bigint, 'once');
select is(page -> 'runs', '[]'::jsonb, 'and end') from pages where n = 4;
select is(page -> 'nextCursor', 'null'::jsonb, 'without another cursor') from pages where n = 4;
select is(app.list_runs('{"name": "other"}') #>> '{runs,0,workflowID}', :'late', 'by recipe');
select is(jsonb_array_length(app.list_runs('{"name": "nobody"}') -> 'runs'), 0, 'an unknown recipe has none');
select app_test.work_once() \g /dev/null
select is(jsonb_array_length(app.list_runs('{"status": "PENDING"}') -> 'runs'), 1, 'by status');
select is(jsonb_array_length(app.list_runs() -> 'runs'), 6, 'all of them');
select is(app.list_runs() #>> '{runs,0}', app.get_run(:'late')::text, 'a row is the header of the run');
rollback;
