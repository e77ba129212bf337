-- Recipes: what runs do, as data.
--
--   app.put_recipe(recipe jsonb) → {name, version, status, isReplay}
--   app.activate_recipe(name, version) → {name, version}
--   app.set_queue_partitioning(partitioned)
--
-- Invariant: a version never changes once it is put; a run pins the version it started with; at most one version of a name is active.

create or replace function app.recipe_faults(recipe jsonb)
returns table (path text, message text)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  with step as (
    select s.value, format('steps[%s]', s.ordinality - 1) as at
    from jsonb_array_elements(case jsonb_typeof(recipe -> 'steps') when 'array' then recipe -> 'steps' else '[]' end) with ordinality as s
  ), part (at, shape, value) as (
    select step.at, 'step', step.value from step
    union all select step.at || '.gate', 'gate', step.value -> 'gate' from step
    union all select step.at || '.fanOut', 'fanOut', step.value -> 'fanOut' from step
    union all select step.at || '.retry', 'retry', step.value -> 'retry' from step
    union all select step.at || '.fanOut.retry', 'retry', step.value #> '{fanOut,retry}' from step
    union all select step.at || '.retry.backoff', 'backoff', step.value #> '{retry,backoff}' from step
    union all select step.at || '.fanOut.retry.backoff', 'backoff', step.value #> '{fanOut,retry,backoff}' from step
  ), queue (path, name) as (
    select 'queue', recipe ->> 'queue'
    union all select step.at || '.queue', step.value ->> 'queue' from step
    union all select step.at || '.fanOut.queue', step.value #>> '{fanOut,queue}' from step
  ), twice (path, name) as (
    select step.at || '.stepId', 'step ' || (step.value ->> 'stepId') from step
    union all select step.at || '.gate.key', 'gate ' || (step.value #>> '{gate,key}') from step
  )
  select f.path, f.message from app.faults('put_recipe', jsonb_build_array(recipe), 'recipe') as f
  union all
  select concat_ws('.', part.at, nullif(f.path, '')), f.message
  from part cross join lateral app.faults(part.shape, jsonb_build_array(part.value), '') as f
  where part.value is not null and (part.value <> 'null' or part.shape = 'step')
  union all
  select queue.path, format('names the queue %s, which does not exist', queue.name)
  from queue where queue.name is not null and not exists (select from app.queues as q where q.queue_name = queue.name)
  union all
  select min(twice.path), format('repeats the %s', twice.name) from twice where twice.name is not null group by twice.name having count(*) > 1
  union all
  select part.at || '.retryableCodes', 'must hold only text'
  from part
  where part.shape = 'retry' and jsonb_typeof(part.value -> 'retryableCodes') = 'array'
    and jsonb_path_exists(part.value, '$.retryableCodes[*] ? (@.type() != "string")');
$$;
comment on function app.recipe_faults(jsonb) is 'Every fault of a recipe, at any depth.';

create or replace function app.put_recipe_steps(recipe_id bigint, recipe jsonb)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  insert into app.recipe_steps (
    recipe_id, idx, step_id, handler, queue_name,
    max_attempts, backoff_initial_ms, backoff_factor, backoff_max_ms, retryable_codes, timeout_ms,
    gate_key, gate_kind, gate_title, gate_ttl_ms,
    fan_queue, fan_handler, fan_max_tasks,
    fan_max_attempts, fan_backoff_initial_ms, fan_backoff_factor, fan_backoff_max_ms, fan_retryable_codes, fan_timeout_ms)
  select put_recipe_steps.recipe_id, (s.ordinality - 1)::integer, s.value ->> 'stepId', s.value ->> 'handler',
    coalesce(s.value ->> 'queue', recipe ->> 'queue', 'intentQ'),
    coalesce((retry ->> 'maxAttempts')::integer, 1), coalesce((retry #>> '{backoff,initialMS}')::bigint, 0),
    coalesce((retry #>> '{backoff,factor}')::double precision, 2), coalesce((retry #>> '{backoff,maxMS}')::bigint, 60000),
    array(select jsonb_array_elements_text(nullif(retry -> 'retryableCodes', 'null'))), (s.value ->> 'timeoutMS')::integer,
    gate ->> 'key', case when gate is not null then coalesce(gate ->> 'kind', 'approval') end, gate ->> 'title', (gate ->> 'ttlMS')::bigint,
    fan ->> 'queue', fan ->> 'handler', case when fan is not null then coalesce((fan ->> 'maxTasks')::integer, 1000) end,
    coalesce((fan_retry ->> 'maxAttempts')::integer, 1), coalesce((fan_retry #>> '{backoff,initialMS}')::bigint, 0),
    coalesce((fan_retry #>> '{backoff,factor}')::double precision, 2), coalesce((fan_retry #>> '{backoff,maxMS}')::bigint, 60000),
    array(select jsonb_array_elements_text(nullif(fan_retry -> 'retryableCodes', 'null'))), (fan ->> 'timeoutMS')::integer
  from jsonb_array_elements(recipe -> 'steps') with ordinality as s
    cross join lateral (select nullif(s.value -> 'retry', 'null'), nullif(s.value -> 'gate', 'null'), nullif(s.value -> 'fanOut', 'null'),
      nullif(s.value #> '{fanOut,retry}', 'null')) as part (retry, gate, fan, fan_retry);
$$;
comment on function app.put_recipe_steps(bigint, jsonb) is 'Derives the step rows of a recipe version from its body.';

create or replace function app.put_recipe(recipe jsonb)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  content jsonb;
  hash text;
  given integer;
  old app.recipes;
  put app.recipes;
begin
  perform app.refuse('put_recipe', (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from app.recipe_faults(coalesce(put_recipe.recipe, 'null')) as f));
  content := put_recipe.recipe - 'version';
  hash := app.sha256_hex(app.canonical_json(content));
  given := (put_recipe.recipe ->> 'version')::integer;
  perform pg_advisory_xact_lock(hashtextextended('app.put_recipe ' || (content ->> 'name'), 0));

  select r.* into old from app.recipes as r
  where r.name = content ->> 'name' and (given is null or r.version = given)
  order by r.version desc limit 1;
  if old.body_sha256 = hash then
    return jsonb_build_object('name', old.name, 'version', old.version, 'status', old.status, 'isReplay', true);
  elsif given is not null and old.recipe_id is not null then
    perform app.fail('PT409', 'recipe_drift', format('recipe %s version %s exists with another content', old.name, given),
      jsonb_build_object('drift', jsonb_build_array(app.drift('recipe', old.body, content))), 'put it without version to get the next one');
  end if;

  insert into app.recipes (name, version, body, body_sha256, settings, queue_name)
  values (content ->> 'name', coalesce(given, old.version + 1, 1), content, hash,
    coalesce(nullif(content -> 'settings', 'null'), '{}'), coalesce(content ->> 'queue', 'intentQ'))
  returning * into put;
  perform app.put_recipe_steps(put.recipe_id, content);
  return jsonb_build_object('name', put.name, 'version', put.version, 'status', put.status, 'isReplay', false);
end
$$;
comment on function app.put_recipe(jsonb) is
  'Stores a recipe version as a draft: {name, version?, description?, queue?, settings?, steps[]}. Without version it becomes the next one, or is a replay when the newest has the same content. PT400 lists every fault, PT409 recipe_drift when the version exists with another content.';

create or replace function app.activate_recipe(name text, version integer default null)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  chosen app.recipes;
begin
  perform app.check_input('activate_recipe', jsonb_build_object('name', activate_recipe.name, 'version', activate_recipe.version));
  perform pg_advisory_xact_lock(hashtextextended('app.put_recipe ' || activate_recipe.name, 0));
  select r.* into chosen from app.recipes as r
  where r.name = activate_recipe.name and (activate_recipe.version is null or r.version = activate_recipe.version)
  order by r.version desc limit 1;
  if chosen.recipe_id is null then
    perform app.fail('PT404', 'recipe_not_found', format('no recipe %s%s', activate_recipe.name, coalesce(' version ' || activate_recipe.version, '')),
      null, 'put it first: select app.put_recipe(…)');
  end if;
  if chosen.status <> 'active' then
    update app.recipes as r set status = 'retired' where r.name = chosen.name and r.status = 'active';
    update app.recipes as r set status = 'active', activated_at = clock_timestamp() where r.recipe_id = chosen.recipe_id;
  end if;
  return jsonb_build_object('name', chosen.name, 'version', chosen.version);
end
$$;
comment on function app.activate_recipe(text, integer) is 'New runs take this version (the newest when version is null) from now on; runs under way keep theirs. PT404 when there is none.';

create or replace function app.set_queue_partitioning(partitioned boolean)
returns void
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('set_queue_partitioning', jsonb_build_object('partitioned', set_queue_partitioning.partitioned));
  update app.queues as q set partitioned = set_queue_partitioning.partitioned
  where q.queue_name in ('intentQ', 'sbxQ') and q.partitioned <> set_queue_partitioning.partitioned;
end
$$;
comment on function app.set_queue_partitioning(boolean) is 'The partition law (SBX_QUEUE_PARTITION): whether runs on intentQ and sbxQ must carry a queuePartitionKey.';
