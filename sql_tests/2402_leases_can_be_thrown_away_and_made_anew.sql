-- What pgmq holds is derived: emptied with steps under way, it is made anew under the ids that the workers know, and their results commit.
begin;
select plan(9);

select app_test.the_four_steps(), app_test.a_run('one') as one, app_test.a_run('two') as two, app_test.a_run('three') as three \gset
create temp table lane as select * from app_test.work_once('w1', 'intentQ', 2);
select app.cancel_run(run_id, 'ann', 'stop it') from lane where run_id = :'two' \g /dev/null
create temp table before as select queue_name, msg_id, read_ct, run_id, task_key from app.leases();
select set_eq('select * from app.rebuild_dispatch()', $$values ('controlQ', 0::bigint, 0::bigint), ('intentQ', 0, 0), ('sbxQ', 0, 0)$$, 'there is nothing to mend');
delete from pgmq.q_intentq;
select isnt_empty('select * from app.v_invariants', 'thrown away, the laws tell');
select set_eq('select * from app.rebuild_dispatch()', $$values ('controlQ', 0::bigint, 0::bigint), ('intentQ', 2, 0), ('sbxQ', 0, 0)$$, 'made anew, of a cancelled run too whose step is in flight');
select set_eq('select queue_name, msg_id, read_ct, run_id, task_key from app.leases()', 'select * from before', 'as they were');
select app.send_leases('intentQ', array['{"runId": "nobody", "taskKey": ""}'::jsonb], 30) \g /dev/null
select is((select dropped from app.rebuild_dispatch() where queue_name = 'intentQ'), 1::bigint, 'a message of nobody''s goes');
select is((select count(*) from app.work('w1', (select jsonb_agg(app_test.done(l)) from lane as l)) where outcome = 'refused'), 0::bigint, 'the workers'' results commit');
select is((select count(*) from app.run_steps where status = 'SUCCESS'), 2::bigint, 'both');
select ok((select msg_id from app_test.work_once('w2', 'intentQ', 1)) > (select max(msg_id) from before), 'new leases have new ids');
select is_empty('select * from app.v_invariants');
rollback;
