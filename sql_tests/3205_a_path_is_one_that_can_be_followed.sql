-- when and over are refused for what no run could evaluate: values out of range, variables, a ** within a ** within a **.
begin;
select plan(22);

create function pg_temp.faults(path text) returns text language sql as $$
  select app_test.faults_of(format('select app.put_recipe(%L)', jsonb_build_object('name', 'r', 'steps', jsonb_build_array(
    jsonb_build_object('stepId', 'A', 'handler', 'h', 'when', path), jsonb_build_object('stepId', 'B', 'map', jsonb_build_object('over', path, 'queue', 'sbxQ', 'handler', 'h')))))) $$;

select is(pg_temp.faults(path), 'steps[0].when, steps[1].map.over', path) from unnest(array[
  '$ == 1e999999', '$.a.**{4294967295}', '$ == "\u0000"', '$ == "\ud800"', '$.a >', '$.a like_regex "("',
  '$x == 1', '$.a[$i to last]', '$.a ? (@ == $"a b")', '$.a starts with $v', '$.a + $b',
  '$.**.**.**', '$.** ? (@.** ? (@.**.a == 1))']) as path;
select is(pg_temp.faults(path), 'not refused', path) from unnest(array[
  '$.intent.inputs."$x" == 1', '$.a == "$x"', '$."a\"$b" == "\"$\"x\\"', '$."$"."x"', '$.a ? (@ like_regex "^\\$\"x$" flag "i")',
  '$.a.datetime("HH24$\"x\"") == 1', '$.**.a ? (@.**{1 to last} == "**.**")', '$.* * $.* * 2 == 1 && exists ($[*].*)']) as path;
select is_empty('select * from app.v_invariants');
rollback;
