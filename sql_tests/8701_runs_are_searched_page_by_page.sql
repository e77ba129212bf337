-- search_runs: every filter, pages without gaps, and a bounded look.
begin;
select plan(15);
select app_test.a_recipe(), app_test.a_recipe('other') \g /dev/null
create temp table run as select n, app_test.a_run(format('goal %s of Ann', n), case when n % 2 = 0 then 'plain' else 'other' end,
  jsonb_build_object('queuePartitionKey', 'p' || n % 3)) as id from generate_series(1, 9) as n;
update app.runs as r set created_at = app.now() - (10 - run.n) * interval '1 hour' from run where run.id = r.run_id;
create function pg_temp.found(filter jsonb) returns integer[] language sql as $$
  select array(select run.n from jsonb_array_elements(app.search_runs(filter) -> 'runs') with ordinality as f join run on run.id = f.value ->> 'workflowID' order by f.ordinality)
$$;
select is(pg_temp.found('{}'), '{9,8,7,6,5,4,3,2,1}', 'newest first');
select is(pg_temp.found('{"name": "other"}'), '{9,7,5,3,1}', 'of a recipe');
select is(pg_temp.found('{"partition": "p1"}'), '{7,4,1}', 'of a partition');
select is(pg_temp.found('{"text": "GOAL 4"}'), '{4}', 'by the goal, in any case');
select is(pg_temp.found(jsonb_build_object('text', left(id, 20))), '{5}', 'by how the id begins') from run where n = 5;
select is(pg_temp.found('{"text": "%"}'), '{}', 'a wildcard is a letter like others');
select is(pg_temp.found('{"newerThanMS": 9900000}'), '{9,8}', 'of the last hours');
select is(pg_temp.found('{"olderThanMS": 28000000}'), '{2,1}', 'of hours ago');
select app.cancel_run(id, 'ann', 'x') from run where n in (3, 6) \g /dev/null
select is(pg_temp.found('{"status": "CANCELLED"}'), '{6,3}', 'of a status');
select is(pg_temp.found('{"status": "CANCELLED", "name": "other", "text": "ann"}'), '{3}', 'all of them together');
create temp table page as select app.search_runs('{"limit": 4, "name": "other"}') as one;
select is(pg_temp.found(jsonb_build_object('limit', 4, 'name', 'other', 'cursor', one ->> 'nextCursor')), '{1}', 'the next page goes on where the first ended') from page;
select is(app.search_runs(jsonb_build_object('limit', 4, 'name', 'other', 'cursor', one ->> 'nextCursor')) -> 'nextCursor', 'null', 'and is the last') from page;
select is(app.search_runs('{"text": "goal 9"}') #>> '{runs,0,goal}', 'goal 9 of Ann', 'a row has its goal');
select is(app_test.faults_of('select app.search_runs(''{"limit": "x", "status": "NO", "more": 1}'')'), 'limit, more, status', 'every fault is listed');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
