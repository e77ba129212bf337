-- Attempts are append-only, for every writer.
begin;
select plan(10);

select app_test.a_run(), app_test.finish_step() \g /dev/null
select is(app_test.error_of('update app.run_steps set ' || change || ' where idx = 0') ->> 'code', 'attempt_is_final', change)
from unnest(array['output = ''1''', 'error = ''{}''', 'worker = ''x''', 'ended_at = now()', 'status = ''ERROR'', error = ''{}''', 'tasks_open = 1', 'attempt = 2', 'input = ''1''']) as change;
select lives_ok('update app.run_steps set output = output where idx = 0', 'a change that changes nothing is none');
select is_empty('select * from app.v_invariants');
rollback;
