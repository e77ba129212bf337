-- In a graph whose gates were answered ahead of time everything moves on at once: each step begins once, and a no stops all of it.
begin;
select plan(6);

select app_test.a_recipe('web', '[{"stepId": "A"}, {"stepId": "Gated", "needs": ["A"], "gate": {"key": "g1"}, "sleep": {"ms": 0}}, {"stepId": "Also", "needs": ["A"], "gate": {"key": "g2"}, "sleep": {"ms": 0}},
  {"stepId": "Free", "needs": ["A"]}, {"stepId": "Zero", "needs": ["A"], "sleep": {"ms": 0}}, {"stepId": "After", "needs": ["Gated", "Zero"]}, {"stepId": "Skip", "needs": ["A"], "when": "$.x == 1"},
  {"stepId": "End", "needs": ["Also", "Free", "After", "Skip"]}]') \g /dev/null
select app_test.a_run('g', 'web') as run_id, app_test.a_run('no', 'web', '{"priority": 2}') as no \gset
select app.reply_gate(:'run_id', 'g1', '{"decision": "yes"}', '1', 'ann'), app.reply_gate(:'run_id', 'g2', '{"decision": "yes"}', '1', 'ann') \g /dev/null
select app_test.finish_step() \g /dev/null
select results_eq(format('select step_id || '' '' || attempt || '' '' || status from app.run_steps where run_id = %L order by idx, attempt', :'run_id'),
  array['A 1 SUCCESS', 'Gated 1 SUCCESS', 'Also 1 SUCCESS', 'Free 1 ENQUEUED', 'Zero 1 SUCCESS', 'After 1 ENQUEUED', 'Skip 1 SUCCESS'], 'each step begins once');
select is(app_test.status_of(:'run_id'), 'PENDING', 'nobody is waited for');
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select app_test.finish_step() \g /dev/null
select is(app_test.status_of(:'run_id'), 'SUCCESS', 'to the end');

select app.reply_gate(:'no', 'g1', '{"decision": "no"}', '1', 'ann'), app.reply_gate(:'no', 'g2', '{"decision": "yes"}', '1', 'ann') \g /dev/null
select app_test.finish_step() \g /dev/null
select is(app.get_run(:'no') #>> '{error,code}', 'gate_rejected', 'a no ends the run');
select is_empty(format('select step_id from app.run_steps where run_id = %L and status in (''ENQUEUED'', ''PENDING'')', :'no'), 'and nothing of it is left');
select is_empty('select * from app.v_invariants');
rollback;
