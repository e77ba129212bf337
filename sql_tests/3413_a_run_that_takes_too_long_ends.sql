-- timeoutMS after its start the run is ERROR run_timeout; what is in flight may commit, nothing follows.
begin;
select plan(8);

select app_test.a_recipe() as r \gset
select app_test.a_run('waiting', '{"timeoutMS": 60000}') as waiting \gset
select app_test.a_run_at('A', 'working', '{"timeoutMS": 60000}') as working \gset
select app.advance('59 seconds') as t \gset
select * from app_test.claim('w1', 0, '{"recover": true}');
select is(app_test.run_status(:'working'), 'PENDING', 'not a second early');
select app.advance('2 seconds') as t \gset
select * from app_test.claim('w1', 0, '{"recover": true}');
select is(app.get_run(:'working') @> '{"status": "ERROR", "error": {"code": "run_timeout"}, "nextAction": "REPAIR"}', true, 'then it ends');
select is(app_test.run_status(:'waiting'), 'ERROR', 'so does one that nobody had claimed');
select is((select count(*) from app_test.commit(:'working'))::integer, 0, 'the step in flight may commit');
select is(app_test.attempts(:'working'), 'A 1 SUCCESS', 'and the next never starts');
select is(app_test.run_status(:'working'), 'ERROR', 'the run stays ended');
select is((select count(*) from app_test.claim())::integer, 0, 'nothing is left to claim');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
