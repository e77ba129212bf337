-- page_run: header, attempts, tasks in numbers, gates, explanation, audit and forks in one read.
begin;
select plan(15);
create temp table told as select app_test.a_run_at('ExecuteST') as run_id, null::jsonb as page;
create temp view attempt as select a.value ->> 'stepID' as step, a.value as row from told, jsonb_array_elements(told.page -> 'attempts') as a;

update told set page = app.page_run(run_id);
select is(page -> 'header', app.get_run(run_id), 'the header is that of get_run') from told;
select is(page ->> 'goal', 'a goal', 'the goal') from told;
select is(jsonb_path_query_array(page, '$.steps[*].stepID'), '["CompileST", "ApplyPatchST", "DecideST", "ExecuteST"]', 'all steps of the recipe') from told;
select bag_eq('select step, row ->> ''status'' from attempt',
  $$values ('CompileST', 'SUCCESS'), ('ApplyPatchST', 'SUCCESS'), ('DecideST', 'SUCCESS'), ('ExecuteST', 'ENQUEUED')$$, 'the attempts there are');
select is(page #>> '{gates,0,status}', 'ANSWERED', 'its gate') from told;
select is(page #>> '{audit,0,inline,op}', 'reply', 'the audit trail') from told;
select is(page -> 'explanation' ->> 'why', (app.explain_run(run_id)).why, 'the explanation is that of explain_run') from told;

create temp table lane as select * from app_test.work_once();
select ok(not (app.page_run(run_id) @? '$.attempts[*] ? (@.stale == true)'), 'a lease that lasts is not stale') from told;
select app_test.age_leases('10 minutes') \g /dev/null
select is(jsonb_path_query_array(app.page_run(run_id), '$.attempts[*] ? (@.stale == true).stepID'), '["ExecuteST"]', 'an expired one is') from told;
select app_test.age_leases('-10 minutes') \g /dev/null

select app_test.report(app_test.done(lane, '{"tasks": [{"cmd": ["a", "b"]}, {"n": 2}, {"n": 3}]}')) from lane \g /dev/null
select app_test.finish_step(queue => 'sbxQ'), app_test.fail_step(queue => 'sbxQ') \g /dev/null
update told set page = app.page_run(run_id);
select is((page #> '{tasks,0}') - array['sample', 'startedAt', 'endedAt'],
  '{"idx": 3, "total": 3, "retries": 0, "ENQUEUED": 1, "PENDING": 0, "SUCCESS": 1, "ERROR": 1, "CANCELLED": 0}', 'tasks are counted') from told;
select is(jsonb_path_query_array(page, '$.tasks[0].sample[*].status'), '["ERROR", "ENQUEUED", "SUCCESS"]', 'and sampled, failed ones first') from told;

select app.fork_run(run_id, 1, 'ann', 'again') from told \g /dev/null
select is(app.page_run(run_id) #>> '{forks,0,workflowID}', run_id || '-f1', 'forks are listed') from told;
select is(app.page_run(run_id || '-f1') #>> '{attempts,0,cachedFrom}', run_id, 'a reused step says from where') from told;
select is(app_test.error_of('select app.page_run(''nope'')') ->> 'code', 'run_not_found', 'PT404 for an unknown run');

select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
