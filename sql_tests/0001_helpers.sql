-- Helpers that speak the domain: a recipe, a run at a step, a worker that works, time that passes. Only in test databases.
--
--   a_recipe · a_step · an_intent · a_run · a_run_at       things to begin with
--   claim · commit · work_once · finish · result · failure  what a runner does
--   age_leases · footprint · error_of · run_status …        time, and what is seen from outside
--
-- They go through the public functions wherever there is one. Defaults: recipe 'test', worker 'w1'.

\set ON_ERROR_STOP on
set client_min_messages = warning;
create schema if not exists app_test;

create or replace function app_test.a_step(step_id text, more jsonb default '{}') returns jsonb language sql as $$
  select jsonb_build_object('stepId', step_id, 'handler', 'test/' || lower(step_id)) || more;
$$;

create or replace function app_test.a_recipe(name text default 'test', steps jsonb default null, more jsonb default '{}') returns text
language plpgsql as $$
begin
  perform app.put_recipe(jsonb_build_object('name', name,
    'steps', coalesce(steps, jsonb_build_array(app_test.a_step('A'), app_test.a_step('B')))) || more);
  perform app.activate_recipe(name);
  return name;
end $$;

create or replace function app_test.an_intent(goal text default 'test', inputs jsonb default '{}') returns text language sql as $$
  select app.create_intent(jsonb_build_object('goal', goal, 'inputs', inputs, 'constraints', '{}'::jsonb)) ->> 'intentId';
$$;

-- A run that has just started; the goal makes it another run than the next.
create or replace function app_test.a_run(goal text default 'test', options jsonb default '{}') returns text language sql as $$
  select app.start_run(app_test.an_intent(goal), '{"recipeName": "test"}'::jsonb || options) ->> 'workflowID';
$$;

create or replace function app_test.a_worker(worker text default 'w1', app_version text default null) returns text language plpgsql as $$
begin
  if not exists (select from app.workers as w where w.worker = a_worker.worker and w.stopped_at is null) then
    perform app.register_worker(worker, jsonb_build_object('appVersion', coalesce(app_version, app.setting('app_version')),
      'queues', '["intentQ", "sbxQ", "controlQ"]'::jsonb, 'concurrency', 10));
  end if;
  return worker;
end $$;

create or replace function app_test.claim(worker text default 'w1', n integer default 10, more jsonb default '{}') returns setof app.assignment
language sql as $$
  select * from app.work(app_test.a_worker(worker), '[]',
    jsonb_build_object('queues', jsonb_build_object('intentQ', n, 'sbxQ', n, 'controlQ', n)) || more);
$$;

-- Results for every leased attempt of a run (of one step, of one task), with what the test wants in them.
create or replace function app_test.result(run_id text, more jsonb default '{}', step_id text default null, task_idx integer default null) returns jsonb
language sql as $$
  select coalesce(jsonb_agg(jsonb_build_object('runId', s.run_id, 'idx', s.idx, 'taskKey', s.task_key, 'attempt', s.attempt, 'queue', s.queue_name,
      'msgId', s.msg_id, 'readCt', s.read_ct, 'status', 'SUCCESS', 'output', jsonb_build_object('from', s.step_id)) || more
    order by s.idx, s.task_idx), '[]')
  from app.run_steps as s
  where s.run_id = $1 and s.status = 'PENDING' and s.msg_id is not null and (step_id is null or s.step_id = $3) and (task_idx is null or s.task_idx = $4);
$$;

create or replace function app_test.failure(code text, retryable boolean default null, message text default 'it broke') returns jsonb language sql as $$
  select jsonb_build_object('status', 'ERROR', 'output', null,
    'error', jsonb_strip_nulls(jsonb_build_object('code', code, 'message', message, 'retryable', retryable)));
$$;

create or replace function app_test.commit(run_id text, more jsonb default '{}', step_id text default null, task_idx integer default null, worker text default 'w1')
returns setof app.assignment language sql as $$
  select * from app.work(worker, app_test.result(run_id, more, step_id, task_idx));
$$;

-- Claims whatever there is and commits all of it with success, lanes included; returns how many results that were.
create or replace function app_test.work_once(worker text default 'w1', more jsonb default '{}') returns integer language plpgsql as $$
declare
  a app.assignment;
  n integer := 0;
begin
  for a in select * from app_test.claim(worker, 100, '{"recover": true}') loop
    perform app_test.commit(a.run_id, more, a.step_id, (
      select s.task_idx from app.run_steps as s
      where s.run_id = a.run_id and s.idx = a.idx and s.task_key = a.task_key and s.attempt = a.attempt), worker);
    n := n + 1;
  end loop;
  return n;
end $$;

-- Works until the run is over or waits for somebody.
create or replace function app_test.finish(run_id text, worker text default 'w1') returns text language plpgsql as $$
declare
  state text;
begin
  for i in 1 .. 50 loop
    state := app_test.run_status(run_id);
    exit when state not in ('ENQUEUED', 'PENDING');
    if jsonb_array_length(app_test.result(run_id)) > 0 then
      perform app_test.commit(run_id, worker => worker);
    else
      perform app_test.claim(worker, 100, '{"recover": true}');
    end if;
  end loop;
  return state;
end $$;

-- A run whose worker holds this step; gates on the way are answered.
create or replace function app_test.a_run_at(step_id text, goal text default 'test', options jsonb default '{}', worker text default 'w1') returns text
language plpgsql as $$
declare
  run text := app_test.a_run(goal, options);
  gate record;
begin
  for i in 1 .. 50 loop
    if jsonb_array_length(app_test.result(run, step_id => step_id)) > 0 then
      return run;
    end if;
    for gate in select g.gate_key from app.gates as g where g.run_id = run and g.status = 'OPEN' loop
      perform app.reply_gate(run, gate.gate_key, '{"decision": "yes"}', 'helper', 'helper');
    end loop;
    if jsonb_array_length(app_test.result(run)) > 0 then
      perform app_test.commit(run, worker => worker);
    else
      perform app_test.claim(worker, 100, '{"recover": true}');
    end if;
  end loop;
  raise exception 'the run never came to step %', step_id;
end $$;

-- As if so much time had passed since the workers last gave a sign of life.
create or replace function app_test.age_leases(by interval) returns void language plpgsql as $$
declare
  q text;
begin
  for q in select a.queue_name from app.queues as a loop
    execute format('update pgmq.%I set vt = vt - $1', pgmq.format_table_name(q, 'q')) using by;
  end loop;
end $$;

create or replace function app_test.run_status(run_id text) returns text language sql as $$
  select r.status from app.runs as r where r.run_id = $1;
$$;

-- 'A 1 SUCCESS, B 1 PENDING': every attempt of the steps themselves, in order.
create or replace function app_test.attempts(run_id text) returns text language sql as $$
  select string_agg(format('%s %s %s', s.step_id, s.attempt, s.status), ', ' order by s.idx, s.attempt)
  from app.run_steps as s where s.run_id = $1 and s.task_key = '';
$$;

-- '0 1 SUCCESS, 1 1 ERROR': every attempt of the tasks, by position.
create or replace function app_test.tasks(run_id text) returns text language sql as $$
  select string_agg(format('%s %s %s', s.task_idx, s.attempt, s.status), ', ' order by s.task_idx, s.attempt)
  from app.run_steps as s where s.run_id = $1 and s.task_key <> '';
$$;

-- {sqlstate, message, hint, code, details | drift | status}, or null when the statement lives.
create or replace function app_test.error_of(statement text) returns jsonb language plpgsql as $$
declare
  said jsonb;
  detail text;
begin
  begin
    execute statement;
  exception when others then
    get stacked diagnostics detail = pg_exception_detail;
    said := jsonb_build_object('sqlstate', sqlstate, 'message', sqlerrm);
    begin
      said := said || detail::jsonb;
    exception when others then
      said := said || jsonb_build_object('detail', detail);
    end;
  end;
  return said;
end $$;

-- 'PT409 drift': the short form of error_of.
create or replace function app_test.refusal(statement text) returns text language sql as $$
  select concat_ws(' ', e ->> 'sqlstate', e ->> 'code') from app_test.error_of(statement) as e;
$$;

-- 'goal, inputs': the paths in details, sorted, each once.
create or replace function app_test.faulty_fields(statement text) returns text language sql as $$
  select string_agg(distinct d ->> 'path', ', ' order by d ->> 'path')
  from jsonb_array_elements(app_test.error_of(statement) -> 'details') as d;
$$;

-- A hash of every row of every table of the engine and of its queues: equal before and after means that nothing was written.
create or replace function app_test.footprint() returns text language plpgsql as $$
declare
  t regclass;
  sum text;
  all_sums text := '';
begin
  for t in
    select c.oid::regclass from pg_class as c
    where c.relkind = 'r' and (c.relnamespace = 'app'::regnamespace or (c.relnamespace = 'pgmq'::regnamespace and c.relname ~ '^[qa]_'))
    order by 1
  loop
    execute format('select coalesce(md5(string_agg(md5(r::text), '''' order by md5(r::text))), '''') from %s as r', t) into sum;
    all_sums := all_sums || t::text || sum;
  end loop;
  return md5(all_sums);
end $$;
