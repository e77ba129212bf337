-- The name of a gate that a handler waits at is held to the rule of gate keys: it stands in addresses. Other waits are named freely.
begin;
select plan(12);

select app_test.a_recipe('r', '[{}]'), app_test.a_run('g', 'r') as run_id \gset
create temp table lane as select * from app_test.work_once();
create function pg_temp.faults(wait jsonb) returns text language sql as $$
  select app_test.faults_of(format('select * from app_test.report(%L)', app_test.done(l, jsonb_build_object('status', 'WAITING', 'wait', '{"seq": 0, "kind": "gate"}' || wait)))) from lane as l $$;
select is(pg_temp.faults(jsonb_build_object('name', name)), 'results[0].wait.name', name) from unnest(array['a/b ?#', 'a b', '.a', '-', 'é', E'a\nb', 'a/', ' ', '']) as name;
select is(pg_temp.faults('{"name": 5}') || ' ' || pg_temp.faults('{}'), 'results[0].wait.name results[0].wait.name', 'told once, whatever is wrong with it');
select is(pg_temp.faults('{"name": "A.b_c-1"}'), 'not refused', 'a plain name');
select is_empty('select * from app.v_invariants');
rollback;
