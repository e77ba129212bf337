-- An approval that was given ahead of time for something else counts for nothing, and whoever looks again can approve what is shown.
begin;
select plan(9);

select app_test.a_recipe('one', '[{"stepId": "A"}, {"stepId": "B", "gate": {"key": "approve-plan", "shows": ["A"]}}]'),
  app_test.a_recipe('two', '[{"stepId": "A"}, {"stepId": "B", "gate": {"key": "approve-plan", "shows": ["A"], "quorum": 2}}]') \g /dev/null
create temp table run as select name, app_test.a_run(name, recipe) as run_id from (values ('same', 'one'), ('other', 'one'), ('quorum', 'two')) as v (name, recipe);
select app.approve_plan(run_id, 'ann', shown_sha256 => repeat('a', 64)) from run \g /dev/null
select app_test.finish_step('{"artifacts": [{"kind": "file", "name": "f", "body": "aGk="}]}') from run \g /dev/null
create function pg_temp.approve(name text, by text) returns jsonb language sql as $$
  select app.approve_plan(r.run_id, by, shown_sha256 => g.shown_sha256) from run as r join app.gates as g using (run_id) where r.name = approve.name $$;
select is((select count(*) from run where app_test.status_of(run_id) = 'WAITING_INPUT'), 3::bigint, 'the gates open');
select is(pg_temp.approve('same', 'ann') ->> 'isReplay', 'false', 'the same person approves what is shown');
select is(pg_temp.approve('same', 'ann') ->> 'isReplay', 'true', 'once');
select is(app.approve_plan(run_id, 'ann', shown_sha256 => repeat('a', 64)) ->> 'isReplay', 'true', 'and what they said before is known, too') from run where name = 'same';
select is(pg_temp.approve('other', 'bob') ->> 'isReplay', 'false', 'so does another');
select is(pg_temp.approve('quorum', 'ann') ->> 'missing', '1', 'with a quorum as well');
select is(pg_temp.approve('quorum', 'bob') ->> 'isReplay', 'false', 'each of them');
select is((select array_agg(distinct app_test.status_of(run_id)) from run), array['PENDING'], 'and the runs go on');
select is_empty('select * from app.v_invariants');
rollback;
