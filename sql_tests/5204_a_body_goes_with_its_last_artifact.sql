-- Bodies are stored once per content, so one goes when the last artifact that has it goes, and the content of kind none never does.
begin;
select plan(8);

select app_test.a_run('first') as first \gset
select app_test.finish_step('{"artifacts": [{"kind": "file", "name": "a", "body": "c2hhcmVk"}, {"kind": "file", "name": "b", "body": "b3du"}, {"kind": "file", "name": "c", "body": "bm9uZQ=="}]}') \g /dev/null
select app.cancel_run(:'first', 'ann', 'x') \g /dev/null
select app.advance('1 day') \g /dev/null
select app_test.a_run('second') as second \gset
select app_test.finish_step('{"artifacts": [{"kind": "file", "name": "a", "body": "c2hhcmVk"}]}') \g /dev/null
select app_test.finish_step() \g /dev/null
create temp view body as select convert_from(body, 'UTF8') as text from app.artifact_blobs;

select set_eq('select text from body', array['none', 'own', 'shared'], 'stored once');
select is(app.purge_runs('1 hour', 'ann', 'x') - 'accepted', '{"purged": 1, "bodies": 1, "more": false, "dryRun": false}', 'one was nobody else''s');
select set_eq('select text from body', array['none', 'shared'], 'what the other run has stays');
select is(convert_from(a.body, 'UTF8'), 'shared', 'and can be read') from app.artifacts as o cross join lateral app.get_artifact(o.artifact_id) as a where o.run_id = :'second' and o.name = 'a';
select is_empty('select * from app.v_invariants', 'no artifact lost its bytes');
select is(app.purge_runs('0', 'ann', 'x') -> 'bodies', '1', 'the last one takes it along');
select set_eq('select text from body', array['none'], 'only the content of nothing is left');
select is_empty('select * from app.v_invariants');
rollback;
