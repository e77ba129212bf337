-- fork_diff: a row per step, what was reused, whose output is the same, which artifacts differ, how many tasks.
begin;
select plan(17);

select app_test.a_recipe('r', '[{}, {}, {"stepId": "Fan", "fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {}]'), app_test.a_run('source', 'r') as a \gset
select app_test.finish_step('{"output": {"n": 1}, "artifacts": [{"kind": "file", "name": "one", "inline": 1}]}') \g /dev/null
select app_test.fail_step('infra', '{"retryable": false}') \g /dev/null
select app.repair_run(:'a', 'ann', 'x') \g /dev/null
select app_test.finish_step('{"output": 2, "artifacts": [{"kind": "file", "name": "same/ as it was", "inline": 2}, {"kind": "file", "name": "two", "inline": 2}, {"kind": "file", "name": "gone", "inline": 3}]}') \g /dev/null
select app_test.finish_step('{"output": "made", "tasks": ["x", "y"]}') \g /dev/null
select app_test.finish_step('{"output": "t", "artifacts": [{"kind": "stdout", "name": "out", "inline": 1}]}', 'sbxQ'), app_test.finish_step('{"output": "t"}', 'sbxQ') \g /dev/null
select app_test.fail_step() \g /dev/null
select app.fork_run(:'a', 1, 'ann', 'x') ->> 'forkedWorkflowID' as b \gset
select app_test.finish_step('{"output": 2, "artifacts": [{"kind": "file", "name": "same/ as it was", "inline": 2}, {"kind": "file", "name": "two", "inline": 22}, {"kind": "file", "name": "new", "inline": 4}]}') \g /dev/null
select app_test.finish_step('{"output": "made", "tasks": ["x", "y"]}') \g /dev/null
select app_test.finish_step('{"output": "t", "artifacts": [{"kind": "stdout", "name": "out", "inline": 1}]}', 'sbxQ'), app_test.finish_step('{"output": "t"}', 'sbxQ') \g /dev/null

create temp table diff as select * from app.fork_diff(:'a', :'b') with ordinality;
select is((select string_agg(step_id, ' ' order by ordinality) from diff), 'S0 S1 Fan S3', 'a row per step, in order');
select is(row(status_a, status_b, attempt_a, attempt_b, cached, same_output)::text, '(SUCCESS,SUCCESS,1,1,t,t)', 'a step that was reused') from diff where idx = 0;
select is(artifacts, '{}'::text[], 'leaves what its source left') from diff where idx = 0;
select is(row(status_a, status_b, attempt_a, attempt_b, cached, same_output)::text, '(SUCCESS,SUCCESS,2,1,f,t)', 'a step that ran again, with the same output') from diff where idx = 1;
select is(artifacts, array['gone', 'new', 'two'], 'artifacts that differ, are gone or are new') from diff where idx = 1;
select is(row(status_a, status_b, cached, same_output, tasks_a, tasks_b)::text, '(SUCCESS,SUCCESS,f,t,2,2)', 'a fan-out: ids of tasks hold that of their run, and do not make it another output') from diff where idx = 2;
select is(artifacts, '{}'::text[], 'nor other artifacts') from diff where idx = 2;
select is(output_a #>> '{tasks,0,output}', 't', 'the outputs are there') from diff where idx = 2;
select is(row(status_a, status_b, attempt_a, attempt_b, cached, same_output, output_b)::text, '(ERROR,ENQUEUED,1,1,f,t,)', 'where they stand') from diff where idx = 3;
select app_test.finish_step('{"output": "good"}') \g /dev/null
select is(row(status_b, same_output, output_a, output_b, artifacts)::text, '(SUCCESS,f,,"""good""",{})', 'another output; to have none is no artifact') from app.fork_diff(:'a', :'b') where idx = 3;

-- the other way round nothing is cached; a fork of a fork; a run of another recipe
select is((select array_agg(cached order by idx) from app.fork_diff(:'b', :'a')), array[false, false, false, false], 'the source reused nothing of its fork');
select app.fork_run(:'b', 2, 'ann', 'x') ->> 'forkedWorkflowID' as c \gset
select is((select array_agg(cached order by idx) from app.fork_diff(:'b', :'c')), array[true, true, false, false], 'what was cached there already is cached here');
select app_test.a_run('stranger', 'r') as x \gset
select is((select array_agg(cached order by idx) from app.fork_diff(:'x', :'c')), array[false, false, false, false], 'what it reused of somebody else is not cached of this one');
select app_test.a_recipe('other', '[{}, {"stepId": "Else"}]'), app_test.a_run('other', 'other') as d \gset
select is((select string_agg(concat_ws(' ', idx, step_id, status_a, status_b), ', ' order by ordinality) from app.fork_diff(:'a', :'d') with ordinality), '0 S0 SUCCESS ENQUEUED, 1 Else, 1 S1 SUCCESS, 2 Fan SUCCESS, 3 S3 ERROR', 'any two runs can be compared');

select is(app_test.faults_of($$select * from app.fork_diff(null, '')$$), 'a, b', 'bad arguments');
select is((select array_agg(app_test.error_of(format('select * from app.fork_diff(%L, %L)', x, y)) ->> 'code') from (values (:'a', 'nobody'), ('nobody', :'b')) as v (x, y)), array['run_not_found', 'run_not_found'], 'no such run, on either side');
select is_empty('select * from app.v_invariants');
rollback;
