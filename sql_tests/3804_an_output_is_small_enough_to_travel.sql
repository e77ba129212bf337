-- An output of more than 1 MiB is refused, as JSON and as a row: it would travel to every later step. Nothing of the call is written.
begin;
select plan(6);

select app_test.a_run() as run_id \gset
create temp table lane as select * from app_test.work_once();
create temp table answer as select app_test.done(l) || jsonb_build_object('output', repeat('x', 1048576)) as large, app_test.done(l) || jsonb_build_object('output', repeat('x', 1048000)) as small from lane as l;
create temp table before as select app_test.everything() as hash;
select is(app_test.faults_of(format('select app.work(''w1'', %L)', jsonb_build_array(large))), 'results[0].output', 'as JSON') from answer;
select is(app_test.faults_of(format('select app.work_rows(''w1'', app.read_results(%L))', jsonb_build_array(large))), 'results[0].output', 'when it is read') from answer;
select is(app_test.faults_of(format('select app.work_rows(''w1'', array[row(run_id, task_key, queue_name, msg_id, read_ct, idx, attempt, ''SUCCESS'', to_jsonb(repeat(''x'', 1048576)), null, null, null, null, null, null)::app.result]) from lane')), 'results[0].output', 'as a row');
select is(app_test.everything(), hash, 'nothing was written') from before;
select app.work('w1', jsonb_build_array(small), '{"drain": true}') from answer \g /dev/null
select is((select status from app.run_steps where run_id = :'run_id' and idx = 0), 'SUCCESS', 'and a MiB fits');
select lives_ok($$select app_test.finish_step(jsonb_build_object('output', (select jsonb_agg(0) from generate_series(1, 500000))))$$, 'also of what Postgres stores in more');
rollback;
