-- Errors: the lattice. SQL raises, everybody else only maps. SQLSTATE is PT and the HTTP status, as PostgREST uses it.
--
--   app.fail(sqlstate, code, message, details, hint)     the only place that raises
--   app.is_passing(sqlstate) → boolean                   whether the same may work a moment later
--   app.drift(field, existing, incoming) → jsonb         one entry of a drift list, or null when both are the same
--
-- MESSAGE is lower case text for people. DETAIL is JSON for programs: {"code": …, "details": [{path, message}] | "drift": [{field,
-- existing, incoming}] | "status": …}. HINT is the next action. A statement that fails has written nothing.

create or replace function app.fail(sqlstate text, code text, message text, details jsonb default null, hint text default null)
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  raise exception using
    errcode = fail.sqlstate,
    message = fail.message,
    detail = (jsonb_build_object('code', fail.code) || case jsonb_typeof(fail.details)
        when 'array' then jsonb_build_object('details', fail.details)
        when 'object' then fail.details
        else '{}' end)::text,
    hint = coalesce(fail.hint, '');
end
$$;
comment on function app.fail(text, text, text, jsonb, text) is
  'Raises an error of the lattice. sqlstate: PT400, PT404 or PT409. details: an array of {path, message}, or an object merged into DETAIL.';

create or replace function app.is_passing(sqlstate text)
returns boolean
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select $1 in ('40001', '40P01', '55P03') or left($1, 2) in ('53', '57', '58');
$$;
comment on function app.is_passing(text) is 'Whether an error says nothing about what was asked: conflicts, locks, resources, shutdowns. The few places that catch what comes pass these on.';

create or replace function app.drift(field text, existing anyelement, incoming anyelement)
returns jsonb
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case when $2 is distinct from $3
    then jsonb_build_object('field', $1, 'existing', to_jsonb($2), 'incoming', to_jsonb($3)) end;
$$;
comment on function app.drift(text, anyelement, anyelement) is '{field, existing, incoming} when the two differ, else null.';
