-- One malformed result: PT400 that names every fault, and nothing of the call is written.
begin;
select plan(13);

select app_test.a_run('a'), app_test.a_run('b') \g /dev/null
create temp table lane as select * from app_test.work_once(n => 2);
create temp table r as select jsonb_agg(app_test.done(lane)) as results from lane;
create temp table before as select app_test.everything() as hash;
select is(app_test.faults_of(format('select app.work(''w1'', %L)', jsonb_set(results, '{1}', (results -> 1) || more))), paths, more::text)
from r, (values
  ('{"status": "DONE"}'::jsonb, 'results[1].status'),
  ('{"status": "ERROR"}', 'results[1].error'),
  ('{"status": "ERROR", "error": {"code": "", "retryable": 1, "x": 1}}', 'results[1].error.code, results[1].error.message, results[1].error.retryable, results[1].error.x'),
  ('{"idx": "0", "attempt": 0}', 'results[1].attempt, results[1].idx'),
  ('{"color": 1}', 'results[1].color'),
  ('{"spanId": "x", "receipt": 1}', 'results[1].receipt, results[1].spanId'),
  ('{"artifacts": [{"kind": "A B", "name": " "}]}', 'results[1].artifacts[0], results[1].artifacts[0].kind, results[1].artifacts[0].name'),
  ('{"artifacts": [{"kind": "f", "name": "f", "inline": 1, "body": "AA=="}]}', 'results[1].artifacts[0]'),
  ('{"artifacts": [{"kind": "f", "name": "f", "body": "?"}]}', 'results[1].artifacts[0].body'),
  ('{"artifacts": [{"kind": "f", "name": "f", "body": "abc"}]}', 'results[1].artifacts[0].body'),
  ('{"tasks": {}}', 'results[1].tasks')) as v (more, paths);
select is(app_test.everything(), hash, 'nothing is written') from before;
select is_empty('select * from app.v_invariants');
rollback;
