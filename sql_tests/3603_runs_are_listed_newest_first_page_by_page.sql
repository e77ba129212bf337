-- list_runs with a limit and a cursor meets every run once, in order, and filters by status and name.
begin;
select plan(8);

select app_test.a_recipe('other') as r \gset
select app_test.a_recipe() as r \gset
create temporary table made as select n, app_test.a_run('run ' || n, case when n % 3 = 0 then '{"recipeName": "other"}' else '{}' end::jsonb) as run from generate_series(1, 7) as n;
create temporary table page as
with recursive p (answer) as (
  select app.list_runs('{"limit": 3}')
  union all select app.list_runs(jsonb_build_object('limit', 3, 'cursor', answer ->> 'nextCursor')) from p where answer ->> 'nextCursor' is not null)
select r.value ->> 'workflowID' as run from p, jsonb_array_elements(answer -> 'runs') with ordinality as r;
select results_eq('select run from page', 'select run from made join app.runs on run = run_id order by created_at desc, run_id', 'all of them, newest first, each once');
select is(jsonb_array_length(app.list_runs('{"name": "other"}') -> 'runs'), 2, 'by name');
select app_test.finish((select run from made where n = 1)) as f \gset
select is((select jsonb_agg(x ->> 'workflowID') from jsonb_array_elements(app.list_runs('{"status": "SUCCESS"}') -> 'runs') as x), (select jsonb_build_array(run) from made where n = 1), 'by status');
select is(app.list_runs('{"status": "CANCELLED"}'), '{"runs": [], "nextCursor": null}'::jsonb, 'none is none');
select is(app_test.faulty_fields($$select app.list_runs('{"status": "DONE", "limit": 0, "name": "", "cursor": "x", "colour": 1}')$$), 'colour, limit, name, status', 'bad filters are named');
select is(app_test.faulty_fields($$select app.list_runs('{"cursor": "x"}')$$), 'cursor', 'and so is a cursor that is none');
select is(app_test.faulty_fields($$select app.list_runs('{"cursor": "999999999999999999.x"}')$$), 'cursor', 'or that means no time');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
