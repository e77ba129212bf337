-- v_ops_inbox: a schedule that nobody fires, or whose last tick was refused, with the call that helps.
begin;
select plan(9);

select app_test.clock_to('2032-01-01 00:30Z'), app_test.a_recipe('retiring'), app_test.a_schedule('hourly', '@hourly'), app_test.a_schedule('bad', '30 * * * *', '{"options": {"recipeName": "retiring", "recipeVersion": 1}}') \g /dev/null
select app_test.a_recipe('retiring', '[{}]'), app_test.clock_to('2032-01-01 01:00:30Z') \g /dev/null
select is_empty('select * from app.v_ops_inbox', 'due for less than a minute');
select app_test.clock_to('2032-01-01 01:02:00Z') \g /dev/null
select is(row(kind, run_id, age_s >= 120, reason, call)::text, '("overdue schedule",,t,"a tick of the schedule hourly is due and nobody fires it","select app.recover()")', 'for more') from app.v_ops_inbox;
select is(app.recover() -> 'dueSchedules', '0', 'the call helps');
select is_empty($$select * from app.v_ops_inbox where kind like '%schedule'$$, 'it is fired');
select app_test.clock_to('2032-01-01 01:30:00Z'), app.recover() \g /dev/null
select is(row(kind, since, reason, call)::text, '("refused schedule","2032-01-01 01:30:00+00","the schedule bad could not start its last tick: recipe_not_active: recipe retiring is not active","select * from app.v_schedules where name = ''bad''")', 'a tick that was refused')
  from app.v_ops_inbox where kind = 'refused schedule';
select lives_ok(call, 'the call tells more') from app.v_ops_inbox where kind = 'refused schedule';
select app_test.a_schedule('bad', '30 * * * *') \g /dev/null
select is_empty($$select * from app.v_ops_inbox where kind like '%schedule'$$, 'put anew it is well');
select app.pause_schedule('hourly', 'ann', 'x'), app_test.clock_to('2032-01-02 01:30:00Z'), app.recover() \g /dev/null
select is_empty($$select * from app.v_ops_inbox where kind like '%schedule'$$, 'a paused one needs nobody');
select is_empty('select * from app.v_invariants');
rollback;
