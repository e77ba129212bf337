-- The body of an artifact is base64 as decode() takes it: spaces and line ends go, other white space is a fault of that result.
begin;
select plan(7);

select app_test.a_recipe('r', '[{}, {}]'), app_test.a_run('g', 'r') as run_id \gset
create temp table lane as select * from app_test.work_once();
create function pg_temp.faults(body text) returns text language sql as $$
  select app_test.faults_of(format('select * from app_test.report(%L)', app_test.done(l, jsonb_build_object('artifacts', jsonb_build_array(jsonb_build_object('kind', 'file', 'name', 'a', 'body', body)))))) from lane as l $$;
select is(pg_temp.faults('QUJD' || chr(n)), 'results[0].artifacts[0].body', 'white space ' || n) from unnest(array[11, 12, 133, 160, 8195]) as n;
select is(app_test.faults_of(format('select app.checkpoint(''w1'', %L, %L)', app_test.lease(l),
  jsonb_build_object('seq', 0, 'kind', 'emit', 'name', 'a', 'artifact', jsonb_build_object('kind', 'file', 'name', 'a', 'body', 'QUJD' || chr(12))))), 'artifact.body', 'so in a checkpoint') from lane as l;
select is(pg_temp.faults(E'QUJD \t\r\nQUI=\n '), 'not refused', 'spaces, tabs and line ends are taken');
rollback;
