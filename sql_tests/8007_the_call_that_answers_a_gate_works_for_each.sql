-- answer_with, pasted: a second person puts another name, once; after a no and a repair it answers anew; twice by one is a replay.
begin;
select plan(13);

create function pg_temp.answer(who text, decision text default 'yes') returns jsonb language plpgsql as $$
declare
  said jsonb;
begin
  execute (select replace(replace(answer_with, '''me''', quote_literal(who)), '"yes"', to_jsonb(decision)::text) from app.v_gates_open) into said;
  return said - array['repliedAt', 'approvedAt', 'workflowID', 'accepted', 'ok'];
end $$;
select app_test.a_recipe('r', '[{"stepId": "A"}, {"gate": {"key": "sign", "quorum": 3, "shows": ["A"]}}]'), app_test.a_run('g', 'r') as run_id \gset
select app_test.finish_step() \g /dev/null
select is(pg_temp.answer('ann'), '{"isReplay": false, "missing": 2}', 'one person');
select is(pg_temp.answer('ann'), '{"isReplay": true}', 'the same again is a replay');
select is(pg_temp.answer(repeat('b', 256)), '{"isReplay": false, "missing": 1}', 'another, with the longest name that there may be');
select is(pg_temp.answer('d''Arc', 'no'), '{"isReplay": false}', 'a third says no');
select is(app.get_run(:'run_id') #>> '{error,code}', 'gate_rejected', 'which ends the run');
select app.repair_run(:'run_id', 'ann', 'again') \g /dev/null
select is(pg_temp.answer('d''Arc'), '{"isReplay": false, "missing": 2}', 'repaired, the next round: the same person says yes');
select is(pg_temp.answer('ann'), '{"isReplay": false, "missing": 1}', 'the next too');
select is(pg_temp.answer('bob'), '{"isReplay": false}', 'and the last');
select is(app_test.status_of(:'run_id'), 'PENDING', 'the run goes on');

-- a gate whose time is over is not answered any more
select app_test.finish_step() \g /dev/null
select app_test.a_recipe('late', '[{"gate": {"key": "sign", "ttlMS": 1000}}]'), app_test.a_run('late', 'late') as late \gset
select app.advance('1 second') \g /dev/null
select is((select answer_with from app.v_gates_open), 'select app.recover()', 'over and not ended yet: the call ends it');
select lives_ok(answer_with, 'it can be called') from app.v_gates_open;
select is(app.get_run(:'late') #>> '{error,code}', 'gate_expired', 'and the run is over');
select is_empty('select * from app.v_invariants');
rollback;
