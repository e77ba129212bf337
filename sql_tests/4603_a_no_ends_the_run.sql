-- decision no: ERROR with the notes as the reason, and nothing behind the gate runs.
begin;
select plan(6);

select app_test.a_run_at('approve-plan') as run_id \gset
select is(app.approve_plan(:'run_id', 'ann', 'too risky', decision => 'no') -> 'accepted', 'true'::jsonb, 'a no is an accepted answer');
select is(app_test.status_of(:'run_id'), 'ERROR', 'the run is over');
select is(error ->> 'code', 'gate_rejected', 'code') from app.runs;
select matches(error ->> 'message', 'too risky', 'the notes are the reason') from app.runs;
select is_empty('select * from app_test.work_once()', 'nothing follows');
select is_empty('select * from app.v_invariants');
rollback;
