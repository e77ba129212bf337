-- Once per test database, after the assertions: helpers that speak the domain. Times are the engine's, leases the real clock's.
--
--   a_recipe · the_four_steps · an_intent · a_run · a_run_at · a_worker        what there is
--   work_once · done · failed · lease · report · finish_step · fail_step      what a runner does
--   age_leases · recover · clock_to · a_schedule                              what time does
--   status_of · error_of · faults_of · row_counts · everything · reads_of     what one sees
--   without_statistics                                                        what the planner knows

\set ON_ERROR_STOP on
set client_min_messages = warning;
create schema if not exists app_test;
select app.put_setting('test_database', 'true') \g /dev/null

-- A recipe of this name, put and activated. Steps without a stepId are S0, S1 …, those without a handler, sleep or map get the handler t/<stepId>.
create or replace function app_test.a_recipe(name text default 'plain', steps jsonb default '[{}, {}]', more jsonb default '{}') returns text language plpgsql as $$
declare
  numbered jsonb := (
    select jsonb_agg(jsonb_build_object('stepId', n.id) || case when s.value ?| array['sleep', 'map'] then '{}' else jsonb_build_object('handler', 't/' || n.id) end
      || s.value order by s.ordinality)
    from jsonb_array_elements(a_recipe.steps) with ordinality as s
      cross join lateral (select coalesce(s.value ->> 'stepId', 'S' || s.ordinality - 1)) as n (id));
begin
  perform app.activate_recipe(p.put ->> 'name', (p.put ->> 'version')::integer)
  from (select app.put_recipe(jsonb_build_object('name', a_recipe.name, 'steps', numbered) || a_recipe.more)) as p (put);
  return a_recipe.name;
end $$;

-- compile-default in small: four steps, the gate approve-plan before DecideST, the last one fans out to sbxQ.
create or replace function app_test.the_four_steps() returns text language sql as $$
  select app_test.a_recipe('four', '[
    {"stepId": "CompileST"}, {"stepId": "ApplyPatchST"},
    {"stepId": "DecideST", "gate": {"key": "approve-plan", "title": "Approve the plan"}},
    {"stepId": "ExecuteST", "fanOut": {"queue": "sbxQ", "handler": "t/task", "maxTasks": 4}}]')
$$;

create or replace function app_test.an_intent(goal text default 'a goal') returns text language sql as $$
  select app.create_intent(jsonb_build_object('goal', goal, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) ->> 'intentId'
$$;

-- A started run; its id. The recipe plain (two steps) is made when it is missing.
create or replace function app_test.a_run(goal text default 'a goal', recipe text default 'plain', options jsonb default '{}') returns text language plpgsql as $$
begin
  if recipe = 'plain' and not exists (select from app.recipes as r where r.name = 'plain') then
    perform app_test.a_recipe();
  end if;
  return app.start_run(app_test.an_intent(goal), jsonb_build_object('recipeName', recipe) || options) ->> 'workflowID';
end $$;

create or replace function app_test.a_worker(name text default 'w1', info jsonb default '{}') returns text language sql as $$
  select app.register_worker(name, jsonb_build_object('appVersion', app.setting('app_version'),
    'queues', '["intentQ", "sbxQ", "controlQ"]'::jsonb, 'concurrency', 10) || info) ->> 'worker'
$$;

-- Claims up to n lanes; the worker registers first when nobody knows it.
create or replace function app_test.work_once(worker text default 'w1', queue text default 'intentQ', n integer default 1, want jsonb default '{}') returns setof app.assignment language plpgsql as $$
begin
  if not exists (select from app.workers as w where w.worker = work_once.worker) then
    perform app_test.a_worker(work_once.worker);
  end if;
  return query select * from app.work(work_once.worker, '[]', jsonb_build_object('queues', jsonb_build_object(queue, n)) || want);
end $$;

-- The result of a lane, SUCCESS unless more says otherwise. A lane is a row that app.work returned, of whatever table keeps it.
create or replace function app_test.done(lane anyelement, more jsonb default '{}') returns jsonb language sql as $$
  select jsonb_build_object('runId', l ->> 'run_id', 'idx', l -> 'idx', 'taskKey', l ->> 'task_key', 'attempt', l -> 'attempt',
    'queue', l ->> 'queue_name', 'msgId', l -> 'msg_id', 'readCt', l -> 'read_ct', 'status', 'SUCCESS') || more
  from to_jsonb(lane) as l
$$;

create or replace function app_test.failed(lane anyelement, code text default 'broken', more jsonb default '{}') returns jsonb language sql as $$
  select app_test.done(lane, jsonb_build_object('status', 'ERROR', 'error', jsonb_build_object('code', code, 'message', 'it did not work') || more))
$$;

-- What heartbeat and release take.
create or replace function app_test.lease(lane anyelement) returns jsonb language sql as $$
  select app_test.done(lane) - array['attempt', 'status']
$$;

-- Commits one result; the lane's next step goes back in line.
create or replace function app_test.report(result jsonb, worker text default 'w1') returns setof app.assignment language sql as $$
  select * from app.work(worker, jsonb_build_array(result), '{"drain": true}')
$$;

-- Claims what is next on a queue and ends it; the lane, as JSON. The lane's next step goes in line.
create or replace function app_test.finish_step(more jsonb default '{}', queue text default 'intentQ', worker text default 'w1') returns jsonb language plpgsql as $$
declare
  lane app.assignment;
begin
  select * into lane from app_test.work_once(worker, queue);
  if lane.run_id is null then
    raise exception 'nothing to claim on %', queue;
  end if;
  perform app_test.report(app_test.done(lane, more), worker);
  return to_jsonb(lane);
end $$;

create or replace function app_test.fail_step(code text default 'broken', more jsonb default '{}', queue text default 'intentQ') returns jsonb language sql as $$
  select app_test.finish_step(jsonb_build_object('status', 'ERROR',
    'error', jsonb_build_object('code', code, 'message', 'it did not work') || more), queue)
$$;

-- A run of the four steps that has come so far: to the gate approve-plan, or with this step in line.
create or replace function app_test.a_run_at(place text, goal text default 'a goal', options jsonb default '{}') returns text language plpgsql as $$
declare
  run_id text;
begin
  if not exists (select from app.recipes as r where r.name = 'four') then
    perform app_test.the_four_steps();
  end if;
  run_id := app_test.a_run(goal, 'four', options);
  for i in 1 .. array_position(array['CompileST', 'ApplyPatchST', 'approve-plan', 'DecideST', 'ExecuteST'], place) - 1 loop
    case i when 3 then perform app.approve_plan(run_id, 'ann');
      else perform app_test.finish_step(); end case;
  end loop;
  return run_id;
end $$;

-- The holders of all leases have been silent for so long.
create or replace function app_test.age_leases(by interval) returns void language plpgsql as $$
declare
  q text;
begin
  for q in select m.queue_name from pgmq.meta as m loop
    execute format('update pgmq.%I set vt = vt - $1', pgmq.format_table_name(q, 'q')) using age_leases.by;
  end loop;
end $$;

-- One call of a runner that looks after others: expired leases, due timers.
create or replace function app_test.recover(worker text default 'w9') returns void language sql as $$
  select app_test.work_once(worker, 'intentQ', 0, '{"recover": true}');
  select null
$$;

-- Moves the engine's clock forward to an instant.
create or replace function app_test.clock_to(t timestamptz) returns void language sql as $$
  select app.advance(t - app.now());
  select null
$$;

-- A schedule of the recipe plain, which is made when it is missing.
create or replace function app_test.a_schedule(name text default 'nightly', cron text default '0 3 * * *', more jsonb default '{}') returns text language plpgsql as $$
begin
  if not exists (select from app.recipes as r where r.name = 'plain') then
    perform app_test.a_recipe();
  end if;
  return app.put_schedule(jsonb_build_object('name', a_schedule.name, 'cron', a_schedule.cron, 'options', '{"recipeName": "plain"}'::jsonb,
    'intent', '{"goal": "g", "inputs": {"n": 1}, "constraints": {}}'::jsonb) || more, 'ann', 'test') ->> 'name';
end $$;

create or replace function app_test.status_of(run_id text) returns text language sql as $$
  select r.status from app.runs as r where r.run_id = $1
$$;

-- {sqlstate, message, hint, code, details | drift | status} of a refused statement, null when it was not refused.
create or replace function app_test.error_of(statement text) returns jsonb language plpgsql as $$
declare
  state text;
  said text;
  told text;
  next_action text;
begin
  execute statement;
  return null;
exception when others then
  get stacked diagnostics state = returned_sqlstate, said = message_text, told = pg_exception_detail, next_action = pg_exception_hint;
  return jsonb_build_object('sqlstate', state, 'message', said, 'hint', next_action)
    || case when state like 'PT%' then told::jsonb else '{}' end;
end $$;

-- The paths of all faults a statement was refused for, or what else happened.
create or replace function app_test.faults_of(statement text) returns text language sql as $$
  select case e ->> 'sqlstate' when 'PT400' then (select string_agg(f ->> 'path', ', ' order by f ->> 'path' collate "C") from jsonb_array_elements(e -> 'details') as f)
    else coalesce((e ->> 'sqlstate') || ': ' || (e ->> 'message'), 'not refused') end
  from app_test.error_of(statement) as e
$$;

-- {table: rows} of the schema app and of the queues.
create or replace function app_test.row_counts() returns jsonb language plpgsql as $$
declare
  counts jsonb := '{}';
  name text;
  n bigint;
begin
  for name in select c.oid::regclass::text from pg_class as c join pg_namespace as s on s.oid = c.relnamespace
    where c.relkind = 'r' and (s.nspname = 'app' or s.nspname = 'pgmq' and c.relname like 'q\_%') order by 1 loop
    execute format('select count(*) from %s', name) into n;
    counts := counts || jsonb_build_object(name, n);
  end loop;
  return counts;
end $$;

-- A hash of every row of the schema app and of the queues: the same hash, nothing was written.
create or replace function app_test.everything() returns text language plpgsql as $$
declare
  hashes text := '';
  name text;
  one text;
begin
  for name in select c.oid::regclass::text from pg_class as c join pg_namespace as s on s.oid = c.relnamespace
    where c.relkind = 'r' and (s.nspname = 'app' or s.nspname = 'pgmq' and c.relname like 'q\_%') order by 1 loop
    execute format('select md5(string_agg(t::text, chr(10) order by t::text)) from %s as t', name) into one;
    hashes := hashes || coalesce(one, '-');
  end loop;
  return md5(hashes);
end $$;

-- Index entries, and rows of tables read whole, that a call reads in the schema app. Counted by the transaction, so not across two.
create or replace function app_test.reads_of(call text) returns bigint language plpgsql as $$
declare
  reads constant text := $q$select sum(pg_stat_get_xact_tuples_returned(c.oid)) from pg_class as c where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'i')$q$;
  before bigint;
  after bigint;
begin
  execute reads into before;
  execute call;
  execute reads into after;
  return after - before;
end $$;

-- The planner knows of no table how large it is, as in a new database, and no autovacuum tells it until this transaction ends: it would see none of its rows.
create or replace function app_test.without_statistics() returns void language plpgsql as $$
begin
  lock table app.intents, app.runs, app.run_steps, app.timers, app.gates, app.artifacts in share update exclusive mode;
  update pg_class set reltuples = -1, relpages = 0 where relnamespace = 'app'::regnamespace and relkind in ('r', 'i');
end $$;
