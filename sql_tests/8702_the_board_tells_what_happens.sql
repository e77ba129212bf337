-- page_ops, page_charts: the oracles as the board shows them.
begin;
select plan(11);
create temp table run as select app_test.a_run_at('approve-plan', 'wait') as gate, null::text as failed;
update run set failed = app_test.a_run('fail');
select app_test.fail_step() \g /dev/null
select app.put_schedule('{"name": "nightly", "cron": "@daily", "intent": {"goal": "g", "inputs": {}, "constraints": {}}, "options": {"recipeName": "plain"}}', 'ann', 'x') \g /dev/null
select app.pause_queue('sbxQ', 'ann', 'too hot') \g /dev/null
create temp table told as select app.page_ops() as page, app.page_charts() as charts;

select is(page -> 'runs' -> 'WAITING_INPUT', '1', 'runs are counted by status') from told;
select is(page -> 'runs' -> 'ERROR', '1', 'each of them') from told;
select is(page #>> '{gates,0,workflowID}', gate, 'the open gate') from told, run;
select is(page #>> '{gates,0,goal}', 'wait', 'with the goal of its run') from told;
select is(page #>> '{failures,0,workflowID}', failed, 'the failure') from told, run;
select is(page #>> '{workers,0,worker}', 'w1', 'the worker') from told;
select is(page #>> '{schedules,0,name}', 'nightly', 'the schedule') from told;
select is(page #>> '{attention,0,kind}', 'paused queue', 'what else needs a human') from told;
select is(jsonb_path_query_first(charts, '$.points[*] ? (@.what == "failed")'), '{"what": "failed", "minute": 59, "n": 1, "p50_ms": null, "p95_ms": null}', 'a run that failed this minute') from told;
select app.advance('5 minutes') \g /dev/null
select is(jsonb_path_query_first(app.page_charts(), '$.points[*] ? (@.what == "failed").minute'), '54', 'is one of five minutes ago later');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
