-- Bad arguments to the calls of chapter 60 and to explain_run: PT400 names every field, PT404 the run, and nothing is written.
begin;
select plan(31);

select app_test.a_run() as run_id \gset
create temp table before as select app_test.everything() as hash;
create temp table bad (statement text, paths text);
insert into bad
select format('select app.%s(%s)', f, a), p from unnest(array['cancel_run', 'resume_run', 'repair_run']) as f cross join (values
  ('null, null, null', 'actor, reason, run_id'),
  (''''', '''', ''''', 'actor, reason, run_id'),
  ('''r'', '' '', E'' \n''', 'actor, reason'),
  ('repeat(''r'', 201), repeat(''a'', 257), repeat(''x'', 10001)', 'actor, reason, run_id'),
  ('''r'', ''ann'', ''x'', null', 'PT404: no run r')) as v (a, p);
insert into bad values
  ($$select app.fork_run(null, null, null, null)$$, 'actor, reason, run_id, step_n'),
  ($$select app.fork_run('', -1, ' ', '', ' ', '[]')$$, 'actor, app_version, inputs, reason, run_id, step_n'),
  ($$select app.fork_run('r', 1000001, repeat('a', 257), repeat('x', 10001), repeat('v', 129), '"x"')$$, 'actor, app_version, inputs, reason, step_n'),
  ($$select app.fork_run('r', -1, 'ann', 'x')$$, 'step_n'),
  ($$select app.fork_run('r', 0, 'ann', 'x', dry_run => null)$$, 'PT404: no run r'),
  ($$select app.explain_run(null)$$, 'run_id'),
  ($$select app.explain_run('')$$, 'run_id'),
  ($$select app.explain_run('r')$$, 'PT404: no run r');
select is(app_test.faults_of(statement), paths, statement) from bad;

select is(app_test.faults_of(format('select app.%s(%L, null, ''x'')', f, :'run_id')), 'actor', f || ' of a run that exists: 400 before 409') from unnest(array['resume_run', 'repair_run']) as f;
select is((select array_agg(distinct e ->> 'code') from bad, app_test.error_of(statement) as e where paths not like 'PT404%'), array['schema_violation'], 'all under one code');
select is((select array_agg(distinct e ->> 'code') from bad, app_test.error_of(statement) as e where paths like 'PT404%'), array['run_not_found'], 'an unknown run under another');
select is((select array_agg(distinct e ->> 'hint') from bad, app_test.error_of(statement) as e where paths like 'PT404%'), array['select app.list_runs()'], 'which tells where the runs are');
select is(app_test.everything(), hash, 'nothing was written') from before;
select is(app.cancel_run(:'run_id', 'ann', 'x', null) -> 'dryRun', 'false'::jsonb, 'dry_run is false when it is null');
select is_empty('select * from app.v_invariants');
rollback;
