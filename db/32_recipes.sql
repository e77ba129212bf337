-- Recipes: what runs do, as data.
--
--   app.put_recipe(recipe jsonb) → {name, version, status, isReplay}
--   app.activate_recipe(name, version) → {name, version}
--   app.set_queue_partitioning(partitioned)
--
-- Invariant: a version never changes once it is put; a run pins the version it started with; at most one version of a name is active.

create or replace function app.recipe_parts(recipe jsonb)
returns table (at text, shape text, value jsonb)
language sql
immutable
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
    union all select format('%s.gates[%s]', step.at, g.ordinality - 1), 'gate', g.value
      from step cross join lateral jsonb_array_elements(case jsonb_typeof(step.value -> 'gates') when 'array' then step.value -> 'gates' else '[]' end) with ordinality as g
    union all select step.at || '.fanOut', 'fanOut', step.value -> 'fanOut' from step
    union all select step.at || '.map', 'map', step.value -> 'map' from step
    union all select step.at || '.sleep', 'sleep', step.value -> 'sleep' from step
    union all select step.at || '.retry', 'retry', step.value -> 'retry' from step
    union all select step.at || '.fanOut.retry', 'retry', step.value #> '{fanOut,retry}' from step
    union all select step.at || '.map.retry', 'retry', step.value #> '{map,retry}' from step
    union all select step.at || '.retry.backoff', 'backoff', step.value #> '{retry,backoff}' from step
    union all select step.at || '.fanOut.retry.backoff', 'backoff', step.value #> '{fanOut,retry,backoff}' from step
    union all select step.at || '.map.retry.backoff', 'backoff', step.value #> '{map,retry,backoff}' from step
  )
  select part.at, part.shape, part.value from part where part.value is not null and (part.value <> 'null' or part.shape in ('step', 'gate'));
$$;
comment on function app.recipe_parts(jsonb) is 'Every object inside a recipe, with the path where it stands and its shape in app.v_arguments.';

create or replace function app.is_jsonpath(path text)
returns boolean
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform path::jsonpath;
  return true;
exception when syntax_error or data_exception or feature_not_supported then
  return false; -- only the cast can tell, before Postgres 16; data_exception: numbers and texts that it cannot hold
end
$$;
comment on function app.is_jsonpath(text) is 'True when the text is a jsonpath.';

create or replace function app.jsonpath_fault(path text)
returns text
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  bare text;
begin
  if not app.is_jsonpath(path) then
    return 'is not a jsonpath';
  end if;
  -- as Postgres prints it, names of variables and keys are quoted: what stands in quotes goes
  bare := regexp_replace(path::jsonpath::text, '"(\\.|[^"\\])*"', '""', 'g');
  return case
    when bare like '%$""%' then 'must not use variables: nothing gives them a value'
    when bare like '%.**%.**%.**%' then 'must not have more than two **: each looks at everything below what the one before it found' end;
end
$$;
comment on function app.jsonpath_fault(text) is 'Why a text cannot be a condition or find the items of a map, or null.';

create or replace function app.part_faults(at text, shape text, value jsonb)
returns table (path text, message text)
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  select at, 'must have exactly one of handler, sleep and map'
  where shape = 'step' and num_nonnulls(nullif(value -> 'handler', 'null'), nullif(value -> 'sleep', 'null'), nullif(value -> 'map', 'null')) <> 1
  union all
  select at || '.' || k.key, 'goes with handler only: the engine executes this step itself'
  from unnest(array['fanOut', 'retry', 'timeoutMS']) as k (key)
  where shape = 'step' and nullif(value -> k.key, 'null') is not null and nullif(value -> 'handler', 'null') is null
    and num_nonnulls(nullif(value -> 'sleep', 'null'), nullif(value -> 'map', 'null')) = 1
  union all
  select at || '.gates', 'goes instead of gate, not beside it' where shape = 'step' and nullif(value -> 'gate', 'null') is not null and nullif(value -> 'gates', 'null') is not null
  union all
  select at || '.' || k.key, j.fault
  from unnest(array['when', 'over']) as k (key) cross join lateral app.jsonpath_fault(value ->> k.key) as j (fault)
  where jsonb_typeof(value -> k.key) = 'string' and j.fault is not null
  union all
  select at, 'must have exactly one of ms and input' where shape = 'sleep' and num_nonnulls(nullif(value -> 'ms', 'null'), nullif(value -> 'input', 'null')) <> 1
  union all
  select at || '.answer', 'goes with onExpiry answer, and only with it'
  where shape = 'gate' and (nullif(value -> 'answer', 'null') is not null) <> coalesce(value ->> 'onExpiry' = 'answer', false)
  union all
  select at || '.answer.decision', 'must be yes or no: the gate asks for approval'
  where shape = 'gate' and coalesce(value ->> 'kind', 'approval') = 'approval' and jsonb_typeof(value -> 'answer') = 'object' and coalesce(value #>> '{answer,decision}', '') not in ('yes', 'no')
  union all
  select at || '.schema.type', 'must be object: an answer is one' where shape = 'gate' and jsonb_typeof(value -> 'schema') = 'object' and value #>> '{schema,type}' is distinct from 'object'
  union all
  select at || '.' || k.key, 'goes with kind approval only' from unnest(array['quorum', 'selfApproval']) as k (key)
  where shape = 'gate' and value ->> 'kind' = 'input' and nullif(value -> k.key, 'null') is not null
  union all
  select format('%s.%s[%s]', at, k.key, e.ordinality - 1), 'must be text'
  from unnest(array['retryableCodes', 'needs', 'shows']) as k (key)
    cross join lateral jsonb_array_elements(case jsonb_typeof(value -> k.key) when 'array' then value -> k.key else '[]' end) with ordinality as e
  where jsonb_typeof(e.value) <> 'string';
$$;
comment on function app.part_faults(text, text, jsonb) is 'What the shape alone cannot say of one object inside a recipe.';

create or replace function app.steps_waited_for(recipe jsonb)
returns table (place bigint, waited_for bit varying)
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  steps jsonb := case jsonb_typeof(recipe -> 'steps') when 'array' then recipe -> 'steps' else '[]' end;
  none bit varying := repeat('0', jsonb_array_length(steps))::bit varying;
  sets bit varying[]; -- of each step so far, a bit for each step of the recipe
  places jsonb := jsonb_build_object();
  step jsonb;
  need integer;
begin
  if jsonb_array_length(steps) > 1000 then
    return; -- refused for that
  end if;
  for step, place in select s.value, s.ordinality from jsonb_array_elements(steps) with ordinality as s order by s.ordinality loop
    waited_for := none;
    if jsonb_typeof(step -> 'needs') = 'array' then
      for need in select (places ->> (n.value #>> '{}'))::integer from jsonb_array_elements(step -> 'needs') as n loop
        waited_for := waited_for | coalesce(set_bit(sets[need], need - 1, 1), none);
      end loop;
    elsif place > 1 then
      waited_for := set_bit(sets[place - 1], (place - 2)::integer, 1);
    end if;
    sets[place] := waited_for;
    places := places || jsonb_build_object(coalesce(step ->> 'stepId', ''), place);
    return next;
  end loop;
end
$$;
comment on function app.steps_waited_for(jsonb) is 'For each step of a recipe the steps before it that it needs, directly or through others: a bit for each place.';

create or replace function app.recipe_faults(recipe jsonb)
returns table (path text, message text)
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  with part as (
    select p.* from app.recipe_parts(recipe) as p
  ), step as (
    select p.value, p.at, row_number() over () as place, p.value ->> 'stepId' as step_id from part as p where p.shape = 'step' and jsonb_typeof(p.value) = 'object'
  ), queue (path, name) as (
    select 'queue', recipe ->> 'queue'
    union all select part.at || '.queue', part.value ->> 'queue' from part where part.shape in ('step', 'fanOut', 'map')
  ), twice (path, name) as (
    select step.at || '.stepId', 'step ' || step.step_id from step
    union all select part.at || '.key', 'gate ' || (part.value ->> 'key') from part where part.shape = 'gate'
  ), named (path, place, name, is_shown) as (
    -- steps that a step names: those before it
    select format('%s.needs[%s]', step.at, n.ordinality - 1), step.place, n.value #>> '{}', false
    from step cross join lateral jsonb_array_elements(case jsonb_typeof(step.value -> 'needs') when 'array' then step.value -> 'needs' else '[]' end) with ordinality as n
    union all
    select format('%s.shows[%s]', part.at, n.ordinality - 1), step.place, n.value #>> '{}', true
    from part join step on part.at like step.at || '.%'
      cross join lateral jsonb_array_elements(case jsonb_typeof(part.value -> 'shows') when 'array' then part.value -> 'shows' else '[]' end) with ordinality as n
    where part.shape = 'gate'
  )
  select f.path, f.message from app.faults('put_recipe', jsonb_build_array(recipe), 'recipe') as f
  union all
  select 'inputSchema.type', 'must be object: inputs are one' where jsonb_typeof(recipe -> 'inputSchema') = 'object' and recipe #>> '{inputSchema,type}' is distinct from 'object'
  union all
  select concat_ws('.', part.at, nullif(f.path, '')), f.message from part cross join lateral app.faults(part.shape, jsonb_build_array(part.value), '') as f
  union all
  select queue.path, format('names the queue %s, which does not exist', queue.name)
  from queue where queue.name is not null and not exists (select from app.queues as q where q.queue_name = queue.name)
  union all
  select min(twice.path), format('repeats the %s', twice.name) from twice where twice.name is not null group by twice.name having count(*) > 1
  union all
  select named.path, format('must name an earlier step, not %s', coalesce(named.name, 'null'))
  from named where not exists (select from step where step.step_id = named.name and step.place < named.place)
  union all
  select named.path, format('must name a step that %s needs, directly or through others: %s may end while the gate is open, and change what it shows', gated.step_id, named.name)
  from named join step as gated on gated.place = named.place join step as shown on shown.step_id = named.name and shown.place < named.place
    join app.steps_waited_for(recipe) as w on w.place = named.place
  where named.is_shown and get_bit(w.waited_for, (shown.place - 1)::integer) = 0
  union all
  select f.path, f.message from part cross join lateral app.part_faults(part.at, part.shape, part.value) as f where jsonb_typeof(part.value) = 'object';
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
  -- jitter is rounded: what is too small for a double is 0
  with step as (
    select (s.ordinality - 1)::integer as idx, s.value, s.value ->> 'stepId' as step_id from jsonb_array_elements(recipe -> 'steps') with ordinality as s
  )
  insert into app.recipe_steps (
    recipe_id, idx, step_id, handler, queue_name, needs, condition, is_gated, sleep_ms, sleep_input,
    max_attempts, backoff_initial_ms, backoff_factor, backoff_max_ms, backoff_jitter, retryable_codes, timeout_ms,
    fan_queue, fan_handler, fan_max_tasks, fan_over, fan_join,
    fan_max_attempts, fan_backoff_initial_ms, fan_backoff_factor, fan_backoff_max_ms, fan_backoff_jitter, fan_retryable_codes, fan_timeout_ms)
  select put_recipe_steps.recipe_id, s.idx, s.step_id, s.value ->> 'handler', coalesce(s.value ->> 'queue', recipe ->> 'queue', 'intentQ'),
    case when jsonb_typeof(s.value -> 'needs') = 'array'
      then array(select distinct n.idx from step as n where s.value -> 'needs' ? n.step_id order by n.idx)
      else array(select s.idx - 1 where s.idx > 0) end,
    s.value ->> 'when', gate is not null or coalesce(jsonb_array_length(gates), 0) > 0, (s.value #>> '{sleep,ms}')::bigint, s.value #>> '{sleep,input}',
    coalesce((retry ->> 'maxAttempts')::integer, 1), coalesce((retry #>> '{backoff,initialMS}')::bigint, 0),
    coalesce((retry #>> '{backoff,factor}')::double precision, 2), coalesce((retry #>> '{backoff,maxMS}')::bigint, 60000),
    coalesce(round((retry #>> '{backoff,jitter}')::numeric, 300)::double precision, 0.1),
    array(select jsonb_array_elements_text(nullif(retry -> 'retryableCodes', 'null'))), (s.value ->> 'timeoutMS')::integer,
    fan ->> 'queue', fan ->> 'handler', case when fan is not null then coalesce((fan ->> 'maxTasks')::integer, 1000) end, fan ->> 'over',
    case when fan is not null then coalesce(fan ->> 'join', 'all') end,
    coalesce((fan_retry ->> 'maxAttempts')::integer, 1), coalesce((fan_retry #>> '{backoff,initialMS}')::bigint, 0),
    coalesce((fan_retry #>> '{backoff,factor}')::double precision, 2), coalesce((fan_retry #>> '{backoff,maxMS}')::bigint, 60000),
    coalesce(round((fan_retry #>> '{backoff,jitter}')::numeric, 300)::double precision, 0.1),
    array(select jsonb_array_elements_text(nullif(fan_retry -> 'retryableCodes', 'null'))), (fan ->> 'timeoutMS')::integer
  from step as s
    cross join lateral (select nullif(s.value -> 'retry', 'null'), nullif(s.value -> 'gate', 'null'), nullif(s.value -> 'gates', 'null'),
      coalesce(nullif(s.value -> 'map', 'null'), nullif(s.value -> 'fanOut', 'null'))) as part (retry, gate, gates, fan)
    cross join lateral (select nullif(part.fan -> 'retry', 'null')) as f (fan_retry);

  insert into app.recipe_gates (recipe_id, idx, gate_key, position, kind, title, ttl_ms, on_expiry, expiry_answer, shows, quorum, self_approval)
  select put_recipe_steps.recipe_id, (s.ordinality - 1)::integer, g.value ->> 'key', (g.ordinality - 1)::integer, coalesce(g.value ->> 'kind', 'approval'),
    g.value ->> 'title', (g.value ->> 'ttlMS')::bigint, coalesce(g.value ->> 'onExpiry', 'fail'), nullif(g.value -> 'answer', 'null'),
    array(select jsonb_array_elements_text(nullif(g.value -> 'shows', 'null'))), coalesce((g.value ->> 'quorum')::integer, 1),
    coalesce((g.value ->> 'selfApproval')::boolean, true)
  from jsonb_array_elements(recipe -> 'steps') with ordinality as s
    cross join lateral jsonb_array_elements(
      coalesce(nullif(s.value -> 'gates', 'null'), case when nullif(s.value -> 'gate', 'null') is not null then jsonb_build_array(s.value -> 'gate') else '[]' end)) with ordinality as g;
$$;
comment on function app.put_recipe_steps(bigint, jsonb) is 'Derives the step and gate rows of a recipe version from its body.';

create or replace function app.is_chain(recipe jsonb)
returns boolean
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select coalesce(bool_and(nullif(s.value -> 'when', 'null') is null and (
    coalesce(jsonb_typeof(s.value -> 'needs'), 'null') = 'null'
    or s.value -> 'needs' = case s.ordinality when 1 then '[]' else jsonb_build_array(recipe #> array['steps', (s.ordinality - 2)::text, 'stepId']) end)), true)
  from jsonb_array_elements(recipe -> 'steps') with ordinality as s;
$$;
comment on function app.is_chain(jsonb) is 'True when every step needs exactly the one before it and none has a condition.';

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

  insert into app.recipes (name, version, body, body_sha256, settings, queue_name, is_chain)
  values (content ->> 'name', coalesce(given, old.version + 1, 1), content, hash,
    coalesce(nullif(content -> 'settings', 'null'), '{}'), coalesce(content ->> 'queue', 'intentQ'), app.is_chain(content))
  returning * into put;
  perform app.put_recipe_steps(put.recipe_id, content);
  return jsonb_build_object('name', put.name, 'version', put.version, 'status', put.status, 'isReplay', false);
end
$$;
comment on function app.put_recipe(jsonb) is
  'Stores a recipe version as a draft: {name, version?, description?, queue?, settings?, inputSchema?, steps[]}. Without version it becomes the next one, or is a replay when the newest has the same content. PT400 lists every fault, PT409 recipe_drift when the version exists with another content.';

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
