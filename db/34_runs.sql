-- Runs: how one starts.
--
--   app.start_run(intent_id, options jsonb) → run header and isReplay
--   app.start_runs(runs jsonb) → [the same, …]             bulk: all or nothing
--
-- Both go through app.begin_runs, which is set-based. They work inside the caller's transaction: rolled back, the run never was.
-- Invariant: run_id = intent_id. The same start again is a replay; any argument that differs from the stored one is drift, PT409, and
-- nothing is written. An argument that was left out means its default; recipeVersion, traceId, startedBy, appVersion, ocMode and sbxMode mean
-- "whatever the run has" when they are left out, because their defaults change with time.
-- Order of refusal: 400, 404, 409.
-- Ordinary input passes at a glance (are_plain, are_welcome); what a glance does not pass is looked at rule by rule, which costs several times as much.

create or replace function app.start_requests(runs jsonb)
returns setof app.start_request
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  with given as (
    select r.ordinality, r.value, coalesce(r.value ->> 'recipeName', app.setting('default_recipe')) as name,
      (r.value ->> 'recipeVersion')::integer as version, coalesce(r.value ->> 'lane', 'interactive') as lane,
      r.value ->> 'queuePartitionKey' as partition_key
    from jsonb_array_elements(runs) with ordinality as r
  ), recipe as (
    select c.* from (select distinct name, version from given) as g
      join app.recipes as c on c.name = g.name and case when g.version is null then c.status = 'active' else c.version = g.version end
  )
  select g.ordinality,
    coalesce(g.value ->> 'intentId', case jsonb_typeof(g.value -> 'intent') when 'object' then app.intent_id(app.intent_body(g.value -> 'intent')) end), g.name, g.version, c.recipe_id, c.status, c.queue_name,
    case when g.partition_key ~ '\S' then g.partition_key else '' end,
    g.lane, coalesce((g.value ->> 'priority')::integer, case g.lane when 'interactive' then 1 else 1000 end),
    nullif(g.value -> 'workload', 'null'), nullif(g.value -> 'budget', 'null'), (g.value ->> 'timeoutMS')::bigint,
    g.value ->> 'traceId', g.value ->> 'tenantId', g.value ->> 'appVersion', g.value ->> 'ocMode', g.value ->> 'sbxMode', g.value ->> 'startedBy', c.is_chain
  from given as g left join recipe as c on c.name = g.name and case when g.version is null then c.status = 'active' else c.version = g.version end;
$$;
comment on function app.start_requests(jsonb) is 'Start arguments with their defaults, and the recipe version each would take.';

create or replace function app.option_faults(runs jsonb, name text)
returns table (path text, message text)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select f.path, f.message from app.faults('start_run', runs, name) as f
  union all
  select concat_ws('.', part.at, f.path), f.message
  from jsonb_array_elements(runs) with ordinality as r
    cross join lateral (values ('workload', r.value -> 'workload'), ('budget', r.value -> 'budget')) as v (name, value)
    cross join lateral (select app.item_path(option_faults.name, r.ordinality) || v.name) as part (at)
    cross join lateral app.faults('workload', jsonb_build_array(v.value), part.at) as f
  where jsonb_typeof(v.value) = 'object';
$$;
comment on function app.option_faults(jsonb, text) is 'Every fault in the shape of start options, nested ones too.';

create or replace function app.start_faults(requests app.start_request[], name text)
returns table (path text, message text, code text)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  with run as (
    select r.*, app.item_path(name, r.ord) as at from unnest(requests) as r
  )
  select run.at || 'recipeName', 'is required: no default recipe is set', 'schema_violation' from run where run.recipe_name is null
  union all
  select run.at || 'queuePartitionKey', format('is required on the partitioned queue %s and must not be blank', q.queue_name), 'queue_policy_violation'
  from run cross join lateral (
      select q.queue_name from app.queues as q
      where q.partitioned and (q.queue_name = run.queue_name
        or exists (select from app.recipe_steps as c where c.recipe_id = run.recipe_id and q.queue_name in (c.queue_name, c.fan_queue)))
      order by q.queue_name limit 1) as q
  where run.partition_key = ''
  union all
  select run.at || 'workload.' || w.key, format('is %s, over the budget of %s', w.value, run.budget -> w.key), 'budget_violation'
  from run cross join lateral jsonb_each(run.workload) as w
  where (w.value #>> '{}')::numeric > (run.budget ->> w.key)::numeric
  union all
  select run.at || 'budget.steps', format('is %s, but the recipe has %s steps', run.budget -> 'steps', s.n), 'budget_violation'
  from run cross join lateral (select count(*) as n from app.recipe_steps as c where c.recipe_id = run.recipe_id) as s
  where s.n > (run.budget ->> 'steps')::numeric
  union all
  select run.at || 'startedBy', format('is required: who starts the run may not answer its gate %s', g.gate_key), 'approval_policy_violation'
  from run cross join lateral (select min(g.gate_key) as gate_key from app.recipe_gates as g where g.recipe_id = run.recipe_id and not g.self_approval) as g
  where run.started_by is null and g.gate_key is not null;
$$;
comment on function app.start_faults(app.start_request[], text) is 'What policy has against a start: partition law, budget.';

create or replace function app.are_plain(runs jsonb)
returns boolean
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_typeof(runs) = 'array' and (
    select coalesce(bool_and(coalesce(case when jsonb_typeof(r.value) = 'object'
      then r.value - array['intentId', 'intent', 'recipeName', 'queuePartitionKey', 'lane', 'priority', 'tenantId', 'startedBy', 'traceId'] = '{}'
        and case
          when not r.value ? 'intent' then jsonb_typeof(r.value -> 'intentId') = 'string' and r.value ->> 'intentId' ~ '^ih_[0-9a-f]{64}$'
          when jsonb_typeof(r.value -> 'intent') = 'object' then not r.value ? 'intentId'
            and (r.value -> 'intent') - array['goal', 'inputs', 'constraints'] = '{}' and jsonb_typeof(r.value #> '{intent,goal}') = 'string'
            and r.value #>> '{intent,goal}' ~ '\S' and length(r.value #>> '{intent,goal}') <= 100000
            and jsonb_typeof(r.value #> '{intent,inputs}') = 'object' and jsonb_typeof(r.value #> '{intent,constraints}') = 'object'
          else false end
        and (not r.value ? 'recipeName' or jsonb_typeof(r.value -> 'recipeName') = 'string' and r.value ->> 'recipeName' ~ '\S' and length(r.value ->> 'recipeName') <= 128)
        and (not r.value ? 'queuePartitionKey' or jsonb_typeof(r.value -> 'queuePartitionKey') = 'string' and length(r.value ->> 'queuePartitionKey') <= 256)
        and (not r.value ? 'lane' or r.value -> 'lane' in ('"interactive"', '"batch"'))
        -- in the order of jsonb values only a number stands between two numbers
        and (not r.value ? 'priority' or r.value -> 'priority' between '0' and '1000000' and (r.value -> 'priority')::text !~ '[.e]')
        and (not r.value ? 'tenantId' or jsonb_typeof(r.value -> 'tenantId') = 'string' and r.value ->> 'tenantId' ~ '\S' and length(r.value ->> 'tenantId') <= 256)
        and (not r.value ? 'startedBy' or jsonb_typeof(r.value -> 'startedBy') = 'string' and r.value ->> 'startedBy' ~ '\S' and length(r.value ->> 'startedBy') <= 256)
        and (not r.value ? 'traceId' or jsonb_typeof(r.value -> 'traceId') = 'string' and r.value ->> 'traceId' ~ '^(?!0{32})[0-9a-f]{32}$')
      end, false)), true)
    from jsonb_array_elements(case jsonb_typeof(runs) when 'array' then runs else '[]' end) as r);
$$;
comment on function app.are_plain(jsonb) is 'A glance at an array of starts: true only when nothing is wrong with the shape of any. Anything else says nothing.';

create or replace function app.are_welcome(requests app.start_request[])
returns boolean
language plpgsql
stable
parallel safe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  is_known boolean;
  free bigint[];        -- recipes of which a run has no partition key
  anonymous bigint[];   -- recipes of which a run does not say who starts it
begin
  select bool_and(q.recipe_id is not null and q.workload is null and q.budget is null and exists (select from app.intents as i where i.intent_id = q.run_id)),
    array_agg(distinct q.recipe_id) filter (where q.partition_key = ''), array_agg(distinct q.recipe_id) filter (where q.started_by is null)
  into is_known, free, anonymous from unnest(requests) as q;
  if not is_known or exists (select from app.recipe_gates as g where g.recipe_id = any (anonymous) and not g.self_approval) then
    return false;
  elsif free is not null and exists (select from app.queues as q where q.partitioned) then
    return not exists (
      select from app.queues as q
      where q.partitioned and (exists (select from app.recipes as c where c.recipe_id = any (free) and c.queue_name = q.queue_name)
        or exists (select from app.recipe_steps as c where c.recipe_id = any (free) and q.queue_name in (c.queue_name, c.fan_queue))));
  end if;
  return true;
end
$$;
comment on function app.are_welcome(app.start_request[]) is 'A glance at starts: true only when no policy is against any, and their intents and recipes exist. False says nothing.';

create or replace function app.check_start(requests app.start_request[], name text)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  faults jsonb;
  missing text;
begin
  if app.are_welcome(requests) then
    return;
  end if;
  select jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message, 'code', f.code)) into faults from app.start_faults(requests, name) as f;
  if faults is not null then
    perform app.fail('PT400', faults #>> '{0,code}', format('start_run: %s %s', faults #>> '{0,path}', faults #>> '{0,message}'),
      (select jsonb_agg(f - 'code') from jsonb_array_elements(faults) as f), 'fix the fields named in details; nothing was written');
  end if;

  select q.run_id into missing from unnest(requests) as q where not exists (select from app.intents as i where i.intent_id = q.run_id) limit 1;
  if found then
    perform app.fail('PT404', 'intent_not_found', format('no intent %s', missing), null, 'create it first: select app.create_intent(…)');
  end if;
  select format('%s%s', q.recipe_name, ' version ' || q.recipe_version) into missing from unnest(requests) as q
  where q.recipe_id is null
    and not exists (select from app.recipes as c where c.name = q.recipe_name and (q.recipe_version is null or c.version = q.recipe_version)) limit 1;
  if found then
    perform app.fail('PT404', 'recipe_not_found', format('no recipe %s', missing), null, 'put and activate it: app.put_recipe, app.activate_recipe');
  end if;
end
$$;
comment on function app.check_start(app.start_request[], text) is 'Raises 400 for policy, then 404 for an unknown intent or recipe.';

create or replace view app.v_started_runs as
select r.run_id, r.intent_id, r.recipe_id, r.partition_key, r.lane, r.priority, r.workload, r.budget, r.timeout_ms, r.tenant_id, r.trace_id, r.started_by,
  r.app_version, r.oc_mode, r.sbx_mode, r.created_at
from app.runs as r
union all
select p.run_id, a.intent_id, a.recipe_id, a.partition_key, a.lane, a.priority, a.workload, a.budget, a.timeout_ms, a.tenant_id, a.trace_id, a.started_by,
  a.app_version, a.oc_mode, a.sbx_mode, a.created_at
from app.purged_runs as p cross join lateral jsonb_populate_record(null::app.runs, p.arguments) as a;
comment on view app.v_started_runs is 'What every run was started with, purged ones too.';

create or replace function app.check_drift(requests app.start_request[])
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  found_drift record;
begin
  select d.run_id, d.drift into found_drift from (
    select q.run_id, q.ord, to_jsonb(array_remove(array[
      app.drift('recipeName', c.name, q.recipe_name),
      app.drift('recipeVersion', c.version, coalesce(q.recipe_version, c.version)),
      app.drift('queuePartitionKey', nullif(r.partition_key, ''), nullif(q.partition_key, '')),
      app.drift('lane', r.lane, q.lane),
      app.drift('priority', r.priority, q.priority),
      app.drift('workload', r.workload, q.workload),
      app.drift('budget', r.budget, q.budget),
      app.drift('timeoutMS', r.timeout_ms, q.timeout_ms),
      app.drift('tenantId', r.tenant_id, q.tenant_id),
      app.drift('traceId', r.trace_id, coalesce(q.trace_id, r.trace_id)),
      app.drift('startedBy', r.started_by, coalesce(q.started_by, r.started_by)),
      app.drift('appVersion', r.app_version, coalesce(q.app_version, r.app_version)),
      app.drift('ocMode', r.oc_mode, coalesce(q.oc_mode, r.oc_mode)),
      app.drift('sbxMode', r.sbx_mode, coalesce(q.sbx_mode, r.sbx_mode))], null)) as drift
    from unnest(requests) as q
      cross join lateral (select r.* from app.v_started_runs as r where r.run_id = q.run_id limit 1) as r
      join app.recipes as c on c.recipe_id = r.recipe_id) as d
  where d.drift <> '[]' order by d.ord limit 1;
  if found then
    perform app.fail('PT409', 'drift', format('run %s exists with other arguments: %s', found_drift.run_id,
        (select string_agg(d.value ->> 'field', ', ') from jsonb_array_elements(found_drift.drift) as d)),
      jsonb_build_object('drift', found_drift.drift), 'repeat the start with the stored arguments, or make another intent');
  end if;

  select q.run_id, q.recipe_name, q.recipe_status into found_drift from unnest(requests) as q
    left join lateral (select r.run_id from app.v_started_runs as r where r.run_id = q.run_id limit 1) as r on true
  where r.run_id is null limit 1;
  if found then
    perform app.fail('PT409', 'recipe_not_active', format('recipe %s is not active', found_drift.recipe_name),
      jsonb_build_object('status', coalesce(found_drift.recipe_status, 'draft')), format('select app.activate_recipe(%L)', found_drift.recipe_name));
  end if;
end
$$;
comment on function app.check_drift(app.start_request[]) is 'Raises PT409 when a run exists with other arguments, or could not start because its recipe version is not active.';

create or replace function app.begin_runs(requests app.start_request[], name text)
returns jsonb
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  t timestamptz := app.now();
  started app.runs[];
  others text[];   -- those that do not just stand in line now
  has_timeouts boolean;
  trace text := left(replace(gen_random_uuid()::text, '-', ''), 16);   -- and half of its id are the trace id of a run: one random draw a call, each may open /dev/urandom
begin
  perform app.check_start(requests, name);
  with new as (
    insert into app.runs as r (run_id, intent_id, recipe_id, queue_name, partition_key, lane, priority, queue_seq, app_version, trace_id, tenant_id,
      oc_mode, sbx_mode, workload, budget, timeout_ms, created_at, updated_at, started_by, is_chain)
    select p.run_id, p.run_id, p.recipe_id, p.queue_name, p.partition_key, p.lane, p.priority, p.queue_seq,
      coalesce(p.app_version, (select app.setting('app_version'))), coalesce(p.trace_id, trace || substr(p.run_id, 4, 16)), p.tenant_id,
      coalesce(p.oc_mode, (select app.setting('oc_mode'))), coalesce(p.sbx_mode, (select app.setting('sbx_mode'))), p.workload, p.budget, p.timeout_ms, t, t,
      p.started_by, p.is_chain
    from (
      -- the place in line follows the order given, the locks follow run_id
      select q.*, nextval('app.queue_position') as queue_seq
      from (select distinct on (q.run_id) q.* from unnest(requests) as q where q.recipe_status = 'active' order by q.run_id, q.ord) as q
      order by q.ord) as p
    order by p.run_id
    on conflict do nothing
    returning r as run
  )
  select array_agg(new.run order by (new.run).queue_seq), bool_or((new.run).timeout_ms is not null) into started, has_timeouts from new;
  started := app.drop_purged(started);

  if coalesce(cardinality(started), 0) < cardinality(requests) then
    perform app.check_drift(requests);
  end if;
  if started is not null then
    if has_timeouts then
      insert into app.timers (kind, run_id, fire_at, created_at)
      select 'run_timeout', r.run_id, t + r.timeout_ms * interval '1 ms', t from unnest(started) as r where r.timeout_ms is not null;
    end if;
    others := app.enqueue_first_steps(started, t);
    if others is not null then
      perform app.enter_first_steps(others, t);
    end if;
  end if;
  if others is null and cardinality(started) = cardinality(requests) then
    return app.new_headers(started);
  end if;
  return (
    select jsonb_agg(h.header || jsonb_build_object('isReplay', e.n > 1 or not coalesce(h.run_id = any (array(select s.run_id from unnest(started) as s)), false))
      order by e.ord)
    from (select q.run_id, q.ord, row_number() over (partition by q.run_id order by q.ord) as n from unnest(requests) as q) as e
      join app.start_headers(array(select distinct q.run_id from unnest(requests) as q)) as h using (run_id));
end
$$;
comment on function app.begin_runs(app.start_request[], text) is 'Starts or replays runs whose shapes were checked, and returns their headers in order. name is what the caller calls them.';

create or replace function app.start_run(intent_id text, options jsonb default '{}')
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  given jsonb;
begin
  given := jsonb_build_array(case jsonb_typeof(start_run.options) when 'object' then start_run.options || jsonb_build_object('intentId', start_run.intent_id) end);
  if start_run.options ?| array['intentId', 'intent'] or not app.are_plain(given) then
    perform app.refuse('start_run', (
      select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path), '[]')
      from (
        select f.path, f.message from app.option_faults(jsonb_build_array(coalesce(start_run.options, 'null')), 'options') as f
        union all select 'intentId', 'is required' where start_run.intent_id is null
        union all select 'intentId', 'must match ^ih_[0-9a-f]{64}$' where start_run.intent_id !~ '^ih_[0-9a-f]{64}$'
        union all select k.key, 'is unknown: the intent is the first argument'
          from jsonb_object_keys(case jsonb_typeof(start_run.options) when 'object' then start_run.options else '{}' end) as k (key)
          where k.key in ('intentId', 'intent')) as f));
  end if;
  return app.begin_runs(array(select q from app.start_requests(given) as q), 'options') -> 0;
end
$$;
comment on function app.start_run(text, jsonb) is
  'Starts a run of an intent, or replays the start. options: recipeName, recipeVersion, queuePartitionKey, lane, priority, workload, budget, timeoutMS, traceId, tenantId, startedBy, appVersion, ocMode, sbxMode. Returns the run header and isReplay. PT400, PT404, PT409 drift.';

create or replace function app.start_runs(runs jsonb)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  requests app.start_request[];
begin
  if jsonb_typeof(start_runs.runs) is distinct from 'array' then
    perform app.refuse('start_runs', '[{"path": "runs", "message": "must be an array"}]');
  end if;
  if not app.are_plain(start_runs.runs) then
    perform app.refuse('start_runs', (
      select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
      from (
        select f.path, f.message from app.option_faults(start_runs.runs, 'runs[]') as f
        union all
        select format('runs[%s].intentId', r.ordinality - 1), 'is required, or intent, and not both'
        from jsonb_array_elements(start_runs.runs) with ordinality as r
        where jsonb_typeof(r.value) = 'object' and (nullif(r.value -> 'intentId', 'null') is null) = (nullif(r.value -> 'intent', 'null') is null)
        union all
        select regexp_replace(f.path, '\]', '].intent'), f.message
        from app.faults('create_intent', (
          -- all at once; in place of a run without one an intent that has no fault
          select coalesce(jsonb_agg(case jsonb_typeof(r.value -> 'intent') when 'object' then r.value -> 'intent'
            else '{"goal": "-", "inputs": {}, "constraints": {}}' end order by r.ordinality), '[]')
          from jsonb_array_elements(start_runs.runs) with ordinality as r), 'runs[]') as f) as f));
  end if;
  requests := array(select q from app.start_requests(start_runs.runs) as q);
  insert into app.intents (intent_id, body)
  select distinct on (q.run_id) q.run_id, app.intent_body(r.value -> 'intent')
  from jsonb_array_elements(start_runs.runs) with ordinality as r join unnest(requests) as q on q.ord = r.ordinality
  where jsonb_typeof(r.value -> 'intent') = 'object' order by q.run_id
  on conflict do nothing;
  return coalesce(app.begin_runs(requests, 'runs[]'), '[]');
end
$$;
comment on function app.start_runs(jsonb) is
  'Starts many runs in one call, all or nothing: an array of {intentId or intent, and the options of start_run}. Returns the headers in order, each with isReplay.';
