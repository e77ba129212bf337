-- What a runner wants is checked at a glance; the glance lets nothing through that the rules do not.
begin;
select plan(8);

select app_test.a_run(), app_test.a_worker() \g /dev/null
select is(app_test.faults_of(format('select app.work(''w1'', ''[]'', %L)', want)), paths, want)
from (values
  ('{"queues": {"intentQ": 1}, "appVersion": ""}', 'appVersion'),
  ('{"queues": {"intentQ": 1}, "appVersion": " "}', 'appVersion'),
  (format('{"queues": {"intentQ": 1}, "appVersion": "%s"}', repeat('v', 129)), 'appVersion'),
  ('{"queues": {"intentQ": null}}', 'want.queues.intentQ'),
  ('{"queues": {"intentQ": null, "sbxQ": 1}}', 'want.queues.intentQ'),
  ('{"queues": {"intentQ": 1, "noQ": null}}', 'want.queues.noQ')) as v (want, paths);
select is((select count(*) from app.work('w1', '[]', '{"queues": {"intentQ": 1, "sbxQ": 0}, "appVersion": "dev"}')), 0::bigint, 'another version has nothing');
select is((select count(*) from app.work('w1', '[]', '{"queues": {"intentQ": 1, "sbxQ": 0}}')), 1::bigint, 'and what keeps to them is served');
rollback;
