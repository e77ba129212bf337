-- Pages: what the operator's page shows, each page in one read. Every pixel is a row; nothing here decides anything.
--
--   app.page_run(run_id) → jsonb                      a run: header, intent, attempts, tasks in numbers, gates, explanation, audit, forks
--   app.page_tasks(run_id, idx, after_task) → jsonb   100 tasks of a step, in order
--   app.page_step(run_id, idx, task_key) → jsonb      one step or task: attempts, input, output, checkpoints, artifacts
--   app.gate_exhibits(run_id, gate_key) → rows        what a gate shows, with the text of it
--
-- Invariant: reads never write, and no read grows with history: lists are cut, tasks are counted and sampled.

create or replace function app.step_attempts(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  return (
    with attempt as (
      select s.* from app.run_steps as s where s.run_id = step_attempts.run_id and s.task_key = '' order by s.idx desc, s.attempt desc limit 1000
    ), left_behind as (
      select a.step_idx, a.attempt, count(*) filter (where a.kind <> 'none') as n, count(*) as all_of_them
      from app.artifacts as a where a.run_id = step_attempts.run_id and a.task_key = '' and a.step_idx is not null group by 1, 2
    )
    select coalesce(jsonb_agg(jsonb_build_object('idx', s.idx, 'stepID', s.step_id, 'attempt', s.attempt, 'status', s.status, 'queueName', s.queue_name,
        'worker', s.worker, 'enqueuedAt', app.epoch_ms(s.enqueued_at), 'startedAt', app.epoch_ms(s.started_at), 'endedAt', app.epoch_ms(s.ended_at),
        'error', s.error, 'cachedFrom', s.cached_from, 'skipped', s.skipped, 'lost', s.lost, 'parkedAt', app.epoch_ms(s.parked_at),
        'inLine', s.queue_seq is not null, 'tasksOpen', s.tasks_open, 'spanId', s.span_id, 'artifacts', coalesce(l.n, 0),
        'stale', s.status = 'PENDING' and s.msg_id is not null and app.lease_ends(s.queue_name, s.msg_id) < clock_timestamp())
      order by s.idx, s.attempt), '[]')
    from attempt as s left join left_behind as l on l.step_idx = s.idx and l.attempt = s.attempt);
end
$$;
comment on function app.step_attempts(text) is 'The attempts of the steps of a run, tasks left out, with how many artifacts each left. stale: its lease has expired.';

create or replace function app.task_row(task app.run_steps)
returns jsonb
language sql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
  select jsonb_build_object('idx', task.idx, 'taskKey', task.task_key, 'taskIdx', task.task_idx, 'attempt', task.attempt, 'status', task.status,
    'worker', task.worker, 'enqueuedAt', app.epoch_ms(task.enqueued_at), 'startedAt', app.epoch_ms(task.started_at), 'endedAt', app.epoch_ms(task.ended_at),
    'error', task.error, 'cachedFrom', task.cached_from, 'input', left(coalesce(task.input -> 'cmd', task.input)::text, 400),
    'stale', task.status = 'PENDING' and task.msg_id is not null and app.lease_ends(task.queue_name, task.msg_id) < clock_timestamp());
$$;
comment on function app.task_row(app.run_steps) is 'An attempt of a task as the pages list it.';

create or replace function app.step_tasks(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  return (
    with latest as materialized (
      -- the primary key, read backwards: no sort, whatever the number of tasks
      select distinct on (s.idx, s.task_key) s.idx, s.task_key, s.attempt, s.task_idx, s.status, s.started_at, s.ended_at
      from app.run_steps as s where s.run_id = step_tasks.run_id and s.task_key <> '' order by s.idx desc, s.task_key desc, s.attempt desc
    ), told as (
      select l.idx, jsonb_build_object('idx', l.idx, 'total', count(*), 'retries', sum(l.attempt) - count(*),
        'ENQUEUED', count(*) filter (where l.status = 'ENQUEUED'), 'PENDING', count(*) filter (where l.status = 'PENDING'),
        'SUCCESS', count(*) filter (where l.status = 'SUCCESS'), 'ERROR', count(*) filter (where l.status = 'ERROR'),
        'CANCELLED', count(*) filter (where l.status = 'CANCELLED'),
        'startedAt', app.epoch_ms(min(l.started_at)), 'endedAt', app.epoch_ms(max(l.ended_at))) as counts
      from latest as l group by l.idx
    )
    select coalesce(jsonb_agg(told.counts || jsonb_build_object('sample', sample.rows) order by told.idx), '[]')
    from told cross join lateral (
      select jsonb_agg(app.task_row(s) order by p.place, p.task_idx) as rows
      from (
        select l.task_key, l.attempt, l.task_idx, case l.status when 'ERROR' then 0 when 'PENDING' then 1 when 'ENQUEUED' then 2 else 3 end as place
        from latest as l where l.idx = told.idx order by place, l.task_idx limit 10) as p
        join app.run_steps as s on s.run_id = step_tasks.run_id and s.idx = told.idx and s.task_key = p.task_key and s.attempt = p.attempt) as sample);
end
$$;
comment on function app.step_tasks(text) is 'The tasks of a run per step: how many there are of each status, and ten of them, failed ones first.';

create or replace function app.gate_schemas(recipe jsonb)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(g.gate ->> 'key', g.gate -> 'schema'), '{}')
  from (
    select jsonb_path_query(recipe, '$.steps[*].gate ? (exists (@.schema))')
    union all select jsonb_path_query(recipe, '$.steps[*].gates[*] ? (exists (@.schema))')) as g (gate)
  where jsonb_typeof(g.gate -> 'schema') = 'object';
$$;
comment on function app.gate_schemas(jsonb) is 'The JSON Schemas of a recipe''s gates, by their keys.';

create or replace function app.page_run(run_id text)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  perform app.check_run(page_run.run_id);
  return (
    select jsonb_build_object('now', app.epoch_ms(app.now()), 'header', h.header, 'intentId', r.intent_id, 'goal', i.body ->> 'goal', 'intent', i.body,
      'startedBy', r.started_by, 'startedAt', app.epoch_ms(r.started_at), 'endedAt', app.epoch_ms(r.ended_at), 'timeoutMS', r.timeout_ms,
      'forkStep', r.fork_step, 'gateSchemas', app.gate_schemas(p.body),
      'steps', (
        select jsonb_agg(jsonb_build_object('idx', c.idx, 'stepID', c.step_id, 'handler', c.handler, 'maxAttempts', c.max_attempts, 'fansOut', c.fan_queue is not null,
          'sleeps', c.sleep_ms is not null or c.sleep_input is not null, 'condition', c.condition, 'gates', (
            select coalesce(jsonb_agg(g.gate_key order by g.position), '[]') from app.recipe_gates as g where g.recipe_id = c.recipe_id and g.idx = c.idx)) order by c.idx)
        from app.recipe_steps as c where c.recipe_id = r.recipe_id),
      'attempts', app.step_attempts(r.run_id), 'tasks', app.step_tasks(r.run_id), 'gates', app.list_gates(r.run_id),
      'explanation', (
        select to_jsonb(e) || jsonb_build_object('since', app.epoch_ms(e.since), 'next_at', app.epoch_ms(e.next_at)) from app.explain_run(r.run_id) as e),
      'audit', (
        select coalesce(jsonb_agg(jsonb_build_object('artifactId', a.artifact_id, 'inline', a.inline, 'at', app.epoch_ms(a.created_at)) order by a.artifact_id desc), '[]')
        from (
          select a.* from app.artifacts as a where a.run_id = r.run_id and a.step_idx is null and a.step_id = 'OPS' order by a.artifact_id desc limit 50) as a),
      'forks', (
        select coalesce(jsonb_agg(jsonb_build_object('workflowID', f.run_id, 'status', f.status, 'forkedFrom', f.forked_from, 'forkStep', f.fork_step,
          'createdAt', app.epoch_ms(f.created_at)) order by f.created_at), '[]')
        from (
          select f.* from app.runs as f where f.root_id = coalesce(r.root_id, r.run_id) order by f.created_at desc limit 20) as f))
    from app.runs as r
      join app.recipes as p on p.recipe_id = r.recipe_id
      join app.intents as i on i.intent_id = r.intent_id
      join app.run_headers(array[r.run_id]) as h on h.run_id = r.run_id
    where r.run_id = page_run.run_id);
end
$$;
comment on function app.page_run(text) is
  'All that the page of a run shows: now, header, intent, steps of the recipe, attempts, tasks in numbers, gates and the schemas of their answers, explanation, audit (newest 50), forks (newest 20). Times are epoch ms. PT404.';

create or replace function app.page_tasks(run_id text, idx integer, after_task integer default -1)
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('page_tasks', jsonb_build_object('run_id', page_tasks.run_id, 'idx', page_tasks.idx, 'after_task', page_tasks.after_task));
  perform app.check_run(page_tasks.run_id);
  return (
    with latest as materialized (
      select distinct on (s.task_key) s.task_key, s.attempt, s.task_idx from app.run_steps as s
      where s.run_id = page_tasks.run_id and s.idx = page_tasks.idx and s.task_key <> '' order by s.task_key, s.attempt desc
    ), shown as (
      select l.* from latest as l where l.task_idx > coalesce(page_tasks.after_task, -1) order by l.task_idx limit 100
    )
    select jsonb_build_object('tasks', coalesce(jsonb_agg(app.task_row(s) order by s.task_idx), '[]'), 'total', (select count(*) from latest),
      'next', case when max(s.task_idx) < (select max(l.task_idx) from latest as l) then max(s.task_idx) end)
    from shown as l
      cross join lateral (
        select p.* from app.run_steps as p
        where p.run_id = page_tasks.run_id and p.idx = page_tasks.idx and p.task_key = l.task_key and p.attempt = l.attempt limit 1) as s);
end
$$;
comment on function app.page_tasks(text, integer, integer) is '100 tasks of a step, latest attempt of each, in order, after a position: {tasks, total, next}. PT404.';

create or replace function app.page_step(run_id text, idx integer, task_key text default '')
returns jsonb
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
declare
  told jsonb;
begin
  perform app.check_input('page_step', jsonb_build_object('run_id', page_step.run_id, 'idx', page_step.idx, 'task_key', page_step.task_key));
  perform app.check_run(page_step.run_id);
  select jsonb_build_object('idx', c.idx, 'stepID', c.step_id, 'handler', c.handler, 'taskKey', page_step.task_key, 'attempts', (
      select coalesce(jsonb_agg(jsonb_build_object('attempt', s.attempt, 'status', s.status, 'worker', s.worker, 'enqueuedAt', app.epoch_ms(s.enqueued_at),
          'startedAt', app.epoch_ms(s.started_at), 'endedAt', app.epoch_ms(s.ended_at), 'error', s.error, 'cachedFrom', s.cached_from, 'skipped', s.skipped,
          'lost', s.lost, 'taskIdx', s.task_idx, 'input', s.input, 'output', s.output, 'artifacts', (
            select coalesce(jsonb_agg(app.artifact_ref(a) order by a.idx), '[]') from app.artifacts as a
            where a.run_id = s.run_id and a.step_idx = s.idx and a.task_key = s.task_key and a.attempt = s.attempt)) order by s.attempt desc), '[]')
      from (
        select s.* from app.run_steps as s
        where s.run_id = page_step.run_id and s.idx = c.idx and s.task_key = coalesce(page_step.task_key, '') order by s.attempt desc limit 20) as s),
    'checkpoints', (
      select coalesce(jsonb_agg(jsonb_build_object('seq', k.seq, 'kind', k.kind, 'name', k.name, 'value', k.value, 'at', app.epoch_ms(k.created_at)) order by k.seq), '[]')
      from (
        select k.* from app.checkpoints as k
        where k.run_id = page_step.run_id and k.idx = c.idx and k.task_key = coalesce(page_step.task_key, '') order by k.seq limit 100) as k))
  into told
  from app.runs as r join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = page_step.idx
  where r.run_id = page_step.run_id;
  if told is null or (coalesce(page_step.task_key, '') <> '' and told -> 'attempts' = '[]') then
    perform app.fail('PT404', 'step_not_found', format('run %s has no step %s%s', page_step.run_id, page_step.idx, coalesce(' with task ' || nullif(page_step.task_key, ''), '')),
      null, format('select app.get_steps(%L)', page_step.run_id));
  end if;
  return told;
end
$$;
comment on function app.page_step(text, integer, text) is 'One step, or one task of it: attempts (newest 20) with input, output and artifact references, and checkpoints. PT404.';

create or replace function app.as_text(body bytea)
returns text
language plpgsql
immutable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  return convert_from(body, 'UTF8');
exception when character_not_in_repertoire or untranslatable_character then
  return null; -- only the conversion can tell
end
$$;
comment on function app.as_text(bytea) is 'Bytes as text; null when they are not UTF-8, or hold a NUL, whatever they call themselves.';

create or replace function app.gate_exhibits(run_id text, gate_key text)
returns table (artifact_id bigint, step_id text, kind text, name text, media_type text, size bigint, sha256 text, body text)
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_run(gate_exhibits.run_id);
  return query
    select e.artifact_id, e.step_id, e.kind, e.name, e.media_type, e.size, e.sha256,
      case when e.size <= 200000 and (e.inline is not null or e.media_type ~ '^(text/|application/json)') then
        coalesce(e.inline::text, (select app.as_text(b.body) from app.artifact_blobs as b where b.sha256 = e.sha256)) end
    from (
      select a.* from app.gates as g
        join lateral (
          select distinct on (s.idx, s.task_key) s.idx, s.task_key, s.attempt from app.run_steps as s
          where s.run_id = g.run_id and s.step_id = any (g.shows) and s.status = 'SUCCESS' order by s.idx, s.task_key, s.attempt desc) as s on true
        join app.artifacts as a on a.run_id = g.run_id and a.step_idx = s.idx and a.task_key = s.task_key and a.attempt = s.attempt
          and a.kind not in ('none', 'artifact_index')
      where g.run_id = gate_exhibits.run_id and g.gate_key = gate_exhibits.gate_key
      order by a.step_idx, a.idx limit 50) as e
    order by e.artifact_id;
end
$$;
comment on function app.gate_exhibits(text, text) is 'The artifacts of the steps that a gate shows, at most 50, with their text where it is text (UTF-8 without a NUL) of up to 200000 bytes. PT404.';
