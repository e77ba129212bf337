-- Forked at or before a gated step of a graph, the fork goes through the gate with the answer that was given, and to the end.
begin;
select plan(6);

create function pg_temp.steps(run_id text) returns text language sql as $$
  select string_agg(s.step_id || ' ' || s.status, ', ' order by s.idx, s.attempt) from app.run_steps as s where s.run_id = $1 and s.task_key = '' $$;
select app_test.a_recipe('graph', '[{"stepId": "A"}, {"stepId": "B", "needs": ["A"], "gate": {"key": "g"}}, {"stepId": "C", "needs": ["A"]}]'),
  app_test.a_recipe('row', '[{"stepId": "A", "needs": []}, {"stepId": "B", "needs": ["A"], "gate": {"key": "g"}}]') \g /dev/null
select app_test.a_run('graph', 'graph') as graph, app_test.a_run('row', 'row') as row \gset
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select app.reply_gate(:'graph', 'g', '{"decision": "yes"}', '1', 'ann'), app.reply_gate(:'row', 'g', '{"decision": "yes"}', '1', 'ann') \g /dev/null
select app_test.finish_step(), app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'graph') || ' ' || app_test.status_of(:'row'), 'SUCCESS SUCCESS', 'both to the end');
select app.fork_run(:'graph', 1, 'ann', 'x') ->> 'forkedWorkflowID' as fork, app.fork_run(:'row', 1, 'ann', 'x') ->> 'forkedWorkflowID' as row_fork \gset
select is(pg_temp.steps(:'fork'), 'A SUCCESS, B ENQUEUED, C ENQUEUED', 'beyond the gate, and beside it');
select is(pg_temp.steps(:'row_fork'), 'A SUCCESS, B ENQUEUED', 'where nothing else can begin, too');
select is((select count(*) from app.gates where status = 'ANSWERED' and opened_at is not null), 4::bigint, 'each run says when it came to its gate');
select app_test.finish_step(), app_test.finish_step(), app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'fork') || ' ' || app_test.status_of(:'row_fork'), 'SUCCESS SUCCESS', 'and the forks to theirs');
select is_empty('select * from app.v_invariants');
rollback;
