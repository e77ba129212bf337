-- Results: what runners report of their attempts, as JSON or as rows of app.result.
--
--   [{runId, idx, taskKey, attempt, queue, msgId, readCt, status, output, artifacts, tasks, receipt, error, spanId}]
--           a WAITING one has wait {seq, kind, name, ms | gate} instead: the handler sleeps or asks, and its attempt is parked
--
-- Whatever way they come, one set of rules holds them (app.v_arguments, shape result). JSON is read by every rule, which is handy at a prompt and costs some
-- 100 µs a result. The types of a row say most of it already, so a plain success costs next to nothing. An output travels to every later step, so it is small.

create or replace function app.read_results(results jsonb)
returns app.result[]
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.check_results(results);
  return array(
    select row(x."runId", x."taskKey", x.queue, x."msgId", x."readCt", x.idx, x.attempt, x.status, x.output, x."spanId", x.receipt, x.tasks, x.artifacts, x.error, x.wait)::app.result
    from jsonb_to_recordset(results) as x (
      "runId" text, "taskKey" text, queue text, "msgId" bigint, "readCt" integer, idx integer, attempt integer, status text,
      output jsonb, "spanId" text, receipt boolean, tasks jsonb, artifacts jsonb, error jsonb, wait jsonb));
end
$$;
comment on function app.read_results(jsonb) is 'The results of app.work as rows. Raises PT400 that lists every fault of every result.';

create or replace function app.check_rows(results app.result[])
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  others jsonb; -- the types vouch for a plain result; only the others are looked at rule by rule
begin
  select jsonb_agg(app.result_json(r)) into others
  from unnest(results) as r
  where not coalesce(r.status = 'SUCCESS' and octet_length(r.run_id) between 1 and 200 and octet_length(r.task_key) <= 64 and octet_length(r.queue_name) between 1 and 40
    and r.msg_id > 0 and r.read_ct >= 0 and r.idx between 0 and 999999 and r.attempt between 1 and 999999 and r.artifacts is null and r.error is null and r.wait is null
    and (r.output is null or pg_column_size(r.output) <= 1048576)
    and (r.tasks is null or jsonb_typeof(r.tasks) = 'array')
    and (r.span_id is null or (length(r.span_id) = 16 and translate(r.span_id, '0123456789abcdef', '') = '')), false);
  if others is not null then
    perform app.check_results(others);
  end if;
end
$$;
comment on function app.check_rows(app.result[]) is 'Raises PT400 that lists every fault of results that came as rows; it counts those that are not plain successes.';

create or replace function app.result_json(r app.result)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select jsonb_object_agg(f.key, f.value) from (values
    ('runId', to_jsonb(r.run_id)), ('taskKey', to_jsonb(r.task_key)), ('queue', to_jsonb(r.queue_name)), ('msgId', to_jsonb(r.msg_id)), ('readCt', to_jsonb(r.read_ct)),
    ('idx', to_jsonb(r.idx)), ('attempt', to_jsonb(r.attempt)), ('status', to_jsonb(r.status)), ('output', r.output), ('spanId', to_jsonb(r.span_id)),
    ('receipt', to_jsonb(r.receipt)), ('tasks', r.tasks), ('artifacts', r.artifacts), ('error', r.error), ('wait', r.wait)) as f (key, value)
  where f.value is not null;
$$;
comment on function app.result_json(app.result) is 'A result as app.work takes it.';

create or replace function app.check_results(results jsonb)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.check_items('result', results, 'results[]');
  perform app.refuse('work', (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from jsonb_array_elements(results) with ordinality as r
      cross join lateral (
        select format('results[%s].error', r.ordinality - 1) || coalesce('.' || nullif(e.path, ''), ''), e.message
        from app.faults('error', jsonb_build_array(coalesce(r.value -> 'error', 'null')), '') as e where r.value ->> 'status' = 'ERROR'
        union all
        select format('results[%s].%s', r.ordinality - 1, a.path), a.message
        from app.faults('artifact', coalesce(nullif(r.value -> 'artifacts', 'null'), '[]'), 'artifacts[]') as a
        union all
        select format('results[%s].artifacts[%s]', r.ordinality - 1, a.ordinality - 1), 'must have inline or body, and not both'
        from jsonb_array_elements(coalesce(nullif(r.value -> 'artifacts', 'null'), '[]')) with ordinality as a
        where (a.value ? 'inline') = (jsonb_typeof(a.value -> 'body') is not distinct from 'string')
        union all
        select format('results[%s].%s', r.ordinality - 1, w.path), w.message from app.wait_faults(r.value) as w where r.value ->> 'status' = 'WAITING'
        union all
        -- as runners count it, without the blanks that Postgres writes
        select format('results[%s].output', r.ordinality - 1), 'is more than 1 MiB of JSON: put what is large into an artifact'
        where pg_column_size(r.value -> 'output') > 1048576 and octet_length(replace(replace((r.value -> 'output')::text, ', ', ','), ': ', ':')) > 1048576
      ) as f (path, message)));
end
$$;
comment on function app.check_results(jsonb) is 'Raises PT400 that lists every fault of every result.';

create or replace function app.wait_faults(result jsonb)
returns table (path text, message text)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select concat_ws('.', 'wait', nullif(f.path, '')), f.message from app.faults('wait', jsonb_build_array(coalesce(result -> 'wait', 'null')), '') as f
  union all
  select 'wait.ms', 'is required' where result #>> '{wait,kind}' = 'sleep' and nullif(result #> '{wait,ms}', 'null') is null
  union all
  -- a handler's gate is a gate of a recipe, named by the wait
  select 'wait.name', app.fault(result #> '{wait,name}', 'string', false, null, null, a.pattern, null) from app.v_arguments as a
  where a.shape = 'gate' and a.path = 'key' and result #>> '{wait,kind}' = 'gate' and jsonb_typeof(result #> '{wait,name}') = 'string'
    and result #>> '{wait,name}' ~ '\S' and result #>> '{wait,name}' !~ a.pattern
  union all
  select 'wait.gate.' || f.path, f.message
  from (select case jsonb_typeof(result #> '{wait,gate}') when 'object' then result #> '{wait,gate}' else '{}' end || '{"key": "k"}') as g (gate)
    cross join lateral app.faults('gate', jsonb_build_array(g.gate), '') as f
  where result #>> '{wait,kind}' = 'gate'
  union all
  select ltrim(f.path, '.'), f.message
  from (select result #> '{wait,gate}') as g (gate) cross join lateral app.part_faults('wait.gate', 'gate', g.gate) as f
  where result #>> '{wait,kind}' = 'gate' and jsonb_typeof(g.gate) = 'object';
$$;
comment on function app.wait_faults(jsonb) is 'Every fault in what a WAITING result waits for.';
