-- A purge takes the oldest first, no more than it is told, and only what is over.
begin;
select plan(19);

create temp table r as select app_test.a_run('r' || n) as id, n from generate_series(1, 5) as n;
update app.runs set created_at = created_at - n * interval '1 minute' from r where run_id = id;
select app.cancel_run(id, 'ann', 'x') from r \g /dev/null
select app.advance('1 day') \g /dev/null
select is(app.purge_runs('1 hour', 'ann', 'x', max_runs => 2) - array['bodies', 'accepted'], '{"purged": 2, "more": true, "dryRun": false}', 'so many at once, and there is more');
select set_eq('select n from r where exists (select from app.runs where run_id = id)', array[1, 2, 3], 'the oldest first');
select is(app.purge_runs('1 hour', 'ann', 'x', max_runs => 2) -> 'purged', '2', 'the next');
select is(app.purge_runs('1 hour', 'ann', 'x', max_runs => 2) - array['bodies', 'accepted'], '{"purged": 1, "more": false, "dryRun": false}', 'the rest');
select is(app.purge_runs('0', 'ann', 'x') -> 'purged', '0', 'no more');

create temp table still as select app_test.everything() as hash;
create temp table bad (arguments text, paths text);
insert into bad values
  ('null, null, null', 'actor, older_than, reason'),
  ('''-1 second'', ''ann'', ''x''', 'older_than'),
  ('''1 day'', '' '', ''''', 'actor, reason'),
  ('''1 day'', ''ann'', ''x'', ''{}''', 'statuses'),
  ('''1 day'', ''ann'', ''x'', ''{SUCCESS,PENDING}''', 'statuses[1]'),
  ('''1 day'', ''ann'', ''x'', ''{WAITING_INPUT,NULL,OVER}''', 'statuses[0], statuses[1], statuses[2]'),
  ('''1 day'', ''ann'', ''x'', ''{ERROR,ERROR,ERROR,ERROR,ERROR}''', 'statuses'),
  ('''1 day'', ''ann'', ''x'', null, 0', 'max_runs'),
  ('''1 day'', ''ann'', ''x'', null, 10001', 'max_runs'),
  ('''1 day'', ''ann'', ''x'', null, null', 'max_runs');
select is(app_test.faults_of(format('select app.purge_runs(%s)', arguments)), paths, arguments) from bad;
select is(app_test.everything(), hash, 'nothing was written') from still;

-- the owner of the tables is held to it
select app_test.a_run('kept') as kept \gset
select is(app_test.error_of(format('delete from app.run_steps where run_id = %1$L; delete from app.runs where run_id = %1$L', :'kept')) ->> 'code', 'run_has_no_tombstone', 'nobody else deletes a run');
select is(app_test.error_of('delete from app.purged_runs') ->> 'code', 'tombstone_stays', 'nor its tombstone');
select is_empty('select * from app.v_invariants');
rollback;
