-- Attempts and artifacts belong to a run: none without one, and a run that has some is neither deleted nor renamed.
begin;
select plan(7);

select app_test.a_run() as run_id \gset
select app_test.finish_step() \g /dev/null
select is(app_test.error_of('insert into app.run_steps select (jsonb_populate_record(s, ''{"run_id": "nobody"}'')).* from app.run_steps as s where idx = 1') ->> 'code', 'run_not_found', 'no attempt without a run');
select is(app_test.error_of('insert into app.artifacts (run_id, step_id, idx, kind, name, media_type, size, sha256, created_at)
  values (''nobody'', ''S0'', 0, ''file'', ''f'', ''text/plain'', 1, repeat(''a'', 64), now())') ->> 'code', 'run_not_found', 'no artifact either');
select is(app_test.error_of('delete from app.runs') ->> 'code', 'run_has_history', 'a run with attempts is not deleted');
select is(app_test.error_of('update app.runs set run_id = ''other''') ->> 'code', 'run_has_history', 'nor renamed');
select isnt(app_test.error_of('delete from app.intents'), null, 'nor does its intent go');
select isnt(app_test.error_of('delete from app.recipes where name = ''plain'''), null, 'nor its recipe');
select is_empty('select * from app.v_invariants');
rollback;
