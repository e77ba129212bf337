-- PT400 lists every fault of a schedule, then PT404 and PT409 for a recipe that no tick could start; nothing is written.
begin;
select plan(41);

select app_test.a_recipe(), app_test.a_recipe('old'), app_test.a_recipe('old', '[{}]'), app_test.a_recipe('gated', '[{"gate": {"key": "ask", "selfApproval": false}}]') \g /dev/null
delete from app.settings where key = 'default_recipe';
select app.put_recipe('{"name": "draft", "steps": [{"stepId": "A", "handler": "h"}]}') \g /dev/null
create temp table before as select app_test.everything() as hash;
create function pg_temp.put(more jsonb, actor text default 'ann', reason text default 'x') returns text language sql as $$
  select format('select app.put_schedule(%L, %L, %L)', '{"name": "s", "cron": "0 3 * * *", "intent": {"goal": "g", "inputs": {}, "constraints": {}}, "options": {"recipeName": "plain"}}'::jsonb || more, actor, reason) $$;
create temp table bad (statement text, paths text);
insert into bad values
  ('select app.put_schedule(null, null, null)', 'actor, reason, schedule'),
  ('select app.put_schedule(''[]'', ''ann'', ''x'')', 'schedule'),
  ('select app.put_schedule(''{}'', '' '', '''')', 'actor, cron, intent, name, reason'),
  (pg_temp.put('{"name": "a b"}'), 'name'),
  (pg_temp.put('{"name": "queue/x"}'), 'name'),
  (pg_temp.put(jsonb_build_object('name', repeat('n', 129))), 'name'),
  (pg_temp.put('{"every": 5}'), 'every'),
  (pg_temp.put('{"cron": 5}'), 'cron'),
  (pg_temp.put('{"cron": "61 25 * * x"}'), 'cron.day-of-week, cron.hour, cron.minute'),
  (pg_temp.put('{"cron": "0 3 * *"}'), 'cron'),
  (pg_temp.put('{"cron": "0 0 30 2 *"}'), 'cron'),
  (pg_temp.put('{"timezone": "Mars/Olympus"}'), 'timezone'),
  (pg_temp.put('{"timezone": "PST"}'), 'timezone'),
  (pg_temp.put('{"intent": {"goal": "", "inputs": [], "more": 1}}'), 'intent.constraints, intent.goal, intent.inputs, intent.more'),
  (pg_temp.put('{"intent": {"goal": "g", "inputs": {"scheduledTick": 1}, "constraints": {}}}'), 'intent.inputs.scheduledTick'),
  (pg_temp.put('{"options": {"recipeName": "plain", "lane": "slow", "workload": {"steps": -1}, "what": 1}}'), 'options.lane, options.what, options.workload.steps'),
  (pg_temp.put('{"options": {"recipeName": "plain", "intentId": "ih_1", "intent": {}}}'), 'options.intent, options.intentId, options.intentId'),
  (pg_temp.put('{"options": []}'), 'options'),
  (pg_temp.put('{"catchUp": "some", "catchUpCap": 1001, "graceSeconds": -1}'), 'catchUp, catchUpCap, graceSeconds'),
  (pg_temp.put('{"catchUp": true, "catchUpCap": 0, "graceSeconds": 86401}'), 'catchUp, catchUpCap, graceSeconds'),
  (pg_temp.put('{"catchUpCap": 1.5, "graceSeconds": "60"}'), 'catchUpCap, graceSeconds'),
  (pg_temp.put('{}', repeat('a', 257), repeat('r', 10001)), 'actor, reason'),
  (pg_temp.put('{"cron": "x", "options": {"recipeName": "nowhere"}}'), 'cron'),
  (pg_temp.put('{"options": {}}'), 'options.recipeName'),
  (pg_temp.put('{"options": {"recipeName": "plain", "workload": {"steps": 3}, "budget": {"steps": 1}}}'), 'options.budget.steps, options.workload.steps'),
  (pg_temp.put('{"options": {"recipeName": "nowhere"}}'), 'PT404: no recipe nowhere'),
  (pg_temp.put('{"options": {"recipeName": "plain", "recipeVersion": 7}}'), 'PT404: no recipe plain version 7'),
  (pg_temp.put('{"options": {"recipeName": "draft"}}'), 'PT409: recipe draft is not active'),
  (pg_temp.put('{"options": {"recipeName": "old", "recipeVersion": 1}}'), 'PT409: recipe old is not active');
select is(app_test.faults_of(statement), paths, statement) from bad;
select is(app_test.error_of(pg_temp.put('{"options": {"recipeName": "plain", "budget": {"steps": 1}}}')) ->> 'code', 'budget_violation', 'policy keeps its code');
select is(app_test.error_of(pg_temp.put('{"options": {"recipeName": "old", "recipeVersion": 1}}')) ->> 'status', 'retired', 'and a recipe its status');
select is(app_test.error_of(replace(pg_temp.put('{"intent": {"goal": "g", "inputs": {"n": 1e400}, "constraints": {}}}'), '''x'')', '''x'', true)')) ->> 'sqlstate', 'PT400', 'an intent that has no id, on a dry run, too');
select is(app_test.everything(), hash, 'nothing was written') from before;
select app.set_queue_partitioning(true) \g /dev/null
select is(app_test.faults_of(pg_temp.put('{}')), 'options.queuePartitionKey', 'the partition law');
select is(app_test.error_of(pg_temp.put('{"options": {"recipeName": "plain", "queuePartitionKey": "  "}}')) ->> 'code', 'queue_policy_violation', 'has its own code');
select is(app_test.error_of(pg_temp.put('{"options": {"recipeName": "plain", "queuePartitionKey": "p"}}')), null, 'a key is enough');
select is(app_test.error_of(pg_temp.put('{"options": {"recipeName": "gated", "queuePartitionKey": "p"}}')), null, 'a schedule starts its runs itself: others may approve');
select is((select array_agg(statement) from unnest(array['pause', 'unpause', 'delete']) as f cross join lateral (values
    (format('select app.%s_schedule(null, '' '', null)', f), 'actor, name, reason'), (format('select app.%s_schedule(''nobody'', ''ann'', ''x'')', f), 'PT404: no schedule nobody'),
    (format('select app.%s_schedule(''s'', repeat(''a'', 257), '''')', f), 'actor, reason')) as v (statement, paths)
  where app_test.faults_of(statement) is distinct from paths), null, 'the other calls name theirs');
select is(app_test.error_of($$select app.pause_schedule('nobody', 'ann', 'x')$$) ->> 'code', 'schedule_not_found', 'unknown');
select is(app_test.error_of($$select app.unpause_schedule('s', 'ann', 'x')$$) - array['sqlstate', 'message', 'hint'], '{"code": "schedule_not_paused", "status": "on"}', 'not paused');
select is_empty('select * from app.v_invariants');
rollback;
