-- A row of app.result says what its JSON says, whatever is in it; what no type says is held to the same rules.
begin;
select plan(18);

create function pg_temp.row_of(result jsonb) returns app.result language sql as $$
  select row(r ->> 'runId', r ->> 'taskKey', r ->> 'queue', (r ->> 'msgId')::bigint, (r ->> 'readCt')::integer, (r ->> 'idx')::integer, (r ->> 'attempt')::integer, r ->> 'status',
    nullif(r -> 'output', 'null'), r ->> 'spanId', (r ->> 'receipt')::boolean, r -> 'tasks', r -> 'artifacts', r -> 'error', r -> 'wait')::app.result
  from (select result) as t (r)
$$;
-- what a result leaves behind, without what differs from run to run
create function pg_temp.left_by(run_id text) returns text language sql as $$
  select concat_ws(' | ', r.status, r.error,
    (select string_agg(concat_ws(' ', s.idx, s.attempt, s.status, s.output, s.error, s.span_id, s.tasks_open, s.input, s.parked_at is not null), ', ' order by s.idx, s.task_idx nulls first, s.attempt) from app.run_steps as s where s.run_id = r.run_id),
    (select string_agg(concat_ws(' ', a.step_idx, a.attempt, a.idx, a.kind, a.name, a.inline, a.sha256), ', ' order by a.artifact_id) from app.artifacts as a where a.run_id = r.run_id),
    (select string_agg(concat_ws(' ', g.gate_key, g.kind, g.status), ', ') from app.gates as g where g.run_id = r.run_id),
    (select string_agg(m.kind, ', ') from app.timers as m where m.run_id = r.run_id))
  from app.runs as r where r.run_id = left_by.run_id
$$;

select app_test.a_recipe('fan', '[{"stepId": "A", "fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 4}}, {"stepId": "B"}]') \g /dev/null
create temp table kind (n, more) as values
  (1, '{}'::jsonb), (2, '{"output": {"it": ["is", "\" \\ , ( ) { }", null, 1.5]}, "spanId": "00000000000000aa"}'), (3, '{"output": null}'),
  (4, '{"artifacts": [{"kind": "file", "name": "f", "inline": {"a": 1}}, {"kind": "file", "name": "g", "body": "AA=="}]}'), (5, '{"tasks": []}'), (6, '{"tasks": [1, {"x": "y"}]}'),
  (7, '{"status": "ERROR", "error": {"code": "broken", "message": "\"it\" did not"}}'),
  (8, '{"status": "WAITING", "wait": {"seq": 0, "kind": "sleep", "name": "nap", "ms": 60000}}'),
  (9, '{"status": "WAITING", "wait": {"seq": 0, "kind": "gate", "name": "ask", "gate": {"kind": "input"}}}');
create temp table pair as select k.n, k.more, app_test.a_run('json ' || k.n, 'fan') as json_run, app_test.a_run('row ' || k.n, 'fan') as row_run from kind as k;
create temp table lane as select * from app_test.work_once(n => 18);
create temp table answer as
select a.* from app.work('w1', (select jsonb_agg(app_test.done(lane, pair.more)) from lane join pair on pair.json_run = lane.run_id)) as a
union all
select a.* from app.work_rows('w1', (select array_agg(pg_temp.row_of(app_test.done(lane, pair.more))) from lane join pair on pair.row_run = lane.run_id)) as a;
select is(pg_temp.left_by(row_run), pg_temp.left_by(json_run), 'the same becomes of ' || more::text) from pair order by n;
select is((select count(*) from answer), 10::bigint, 'five of each lane go on');

create temp table next as select * from answer;
create temp table before as select app_test.everything() as hash;
create function pg_temp.faults(change text) returns text language sql as $$
  select app_test.faults_of(format('select app.work_rows(%L, (select array_agg(case when n.run_id = (select max(run_id) from next) then jsonb_populate_record(r, %L) else r end order by n.run_id) from next as n cross join lateral pg_temp.row_of(app_test.done(n)) as r))', 'w1', change))
$$;
select is(pg_temp.faults(change), paths, change) from (values
  ('{"status": "DONE"}', 'results[0].status'), ('{"status": "ERROR"}', 'results[0].error'), ('{"span_id": "x", "attempt": 0}', 'results[0].attempt, results[0].spanId'),
  ('{"tasks": {}}', 'results[0].tasks'), ('{"run_id": null}', 'results[0].runId'),
  (jsonb_build_object('run_id', repeat('x', 201))::text, 'results[0].runId')) as v (change, paths);
select is(app_test.everything(), hash, 'and nothing is written') from before;
select is_empty('select * from app.v_invariants');
rollback;
