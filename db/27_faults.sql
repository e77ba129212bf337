-- Faults: the one check of everything that callers bring, by the rows of app.v_arguments.
--
--   app.faults(shape, items, name) → rows              every fault of every item, set-based
--   app.check_input(shape, input), app.check_items     raise PT400 schema_violation that lists them all
--   app.refuse(shape, faults)                          raises PT400 for faults that were found otherwise

create or replace function app.fault(value jsonb, type text, required boolean, lowest numeric, highest numeric, pattern text, one_of text[])
returns text
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  kind text := jsonb_typeof(value);
  size numeric;
begin
  if value is null or kind = 'null' then
    return case when required then 'is required' end;
  elsif type = 'any' then
    return null;
  elsif type = 'integer' then
    if kind <> 'number' or value::text ~ '[.e]' then
      return 'must be an integer';
    end if;
  elsif kind <> all (string_to_array(type, '|')) then
    return 'must be ' || replace(replace('a ' || replace(type, '|', ' or a '), 'a o', 'an o'), 'a a', 'an a');
  end if;
  if one_of is not null and (value #>> '{}') <> all (one_of) then
    return format('must be one of %s', array_to_string(one_of, ', '));
  end if;
  if lowest is not null or highest is not null then
    size := case kind when 'number' then (value #>> '{}')::numeric when 'array' then jsonb_array_length(value) else length(value #>> '{}') end;
    if size < lowest or size > highest then
      return case kind
        when 'number' then format('must be between %s and %s', lowest, highest)
        when 'array' then format('must have between %s and %s elements', lowest, highest)
        else format('must have between %s and %s characters', lowest, highest) end;
    end if;
  end if;
  if pattern is not null and (value #>> '{}') !~ pattern then
    return case when pattern = '\S' then 'must not be blank' else format('must match %s', pattern) end;
  end if;
  return null;
end
$$;
comment on function app.fault(jsonb, text, boolean, numeric, numeric, text, text[]) is 'What is wrong with one value, or null.';

create or replace function app.item_path(name text, ordinality bigint)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select case when name like '%[]' then format('%s[%s].', left(name, -2), ordinality - 1) else '' end;
$$;
comment on function app.item_path(text, bigint) is 'How the paths of an item begin: runs[0]. for an element of runs[], nothing for a single argument.';

create or replace function app.faults(shape text, items jsonb, name text)
returns table (path text, message text)
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  with item as (
    select i.value, app.item_path(name, i.ordinality) as at
    from jsonb_array_elements(items) with ordinality as i
  ), argument as (
    select * from app.v_arguments as a where a.shape = faults.shape
  )
  select coalesce(nullif(rtrim(item.at, '.'), ''), name), 'must be an object' from item where jsonb_typeof(item.value) <> 'object'
  union all
  select item.at || k.key, 'is unknown'
  from item cross join lateral jsonb_object_keys(case jsonb_typeof(item.value) when 'object' then item.value else '{}' end) as k (key)
  where not exists (select from argument as a where a.path = k.key)
  union all
  select item.at || a.path, f.message
  from item cross join argument as a
    cross join lateral app.fault(item.value -> a.path, a.type, a.required, a.lowest, a.highest, a.pattern, a.one_of) as f (message)
  where jsonb_typeof(item.value) = 'object' and f.message is not null
    and (a.required or item.value ? a.path);
$$;
comment on function app.faults(text, jsonb, text) is 'Every fault of an array of items of one shape. name is what the caller knows them by: runs[] for an array, options for a single argument.';

create or replace function app.refuse(shape text, faults jsonb)
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  if jsonb_array_length(faults) > 0 then
    perform app.fail('PT400', 'schema_violation',
      format('%s: %s%s', shape,
        (select string_agg(ltrim(format('%s %s', f.value ->> 'path', f.value ->> 'message')), '; ' order by f.ordinality)
         from jsonb_array_elements(faults) with ordinality as f where f.ordinality <= 5),
        case when jsonb_array_length(faults) > 5 then format(' and %s more', jsonb_array_length(faults) - 5) else '' end),
      faults, 'fix the fields named in details; nothing was written');
  end if;
end
$$;
comment on function app.refuse(text, jsonb) is 'Raises PT400 schema_violation when the list of {path, message} is not empty.';

create or replace function app.check_items(shape text, items jsonb, name text)
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  if jsonb_typeof(items) is distinct from 'array' then
    perform app.refuse(shape, jsonb_build_array(jsonb_build_object('path', rtrim(name, '[]'), 'message', 'must be an array')));
  end if;
  perform app.refuse(shape, (
    select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message) order by f.path, f.message), '[]')
    from app.faults(shape, items, name) as f));
end
$$;
comment on function app.check_items(text, jsonb, text) is 'Raises PT400 schema_violation that lists every fault of every item of an array.';

create or replace function app.check_input(shape text, input jsonb, name text default 'input')
returns void
language plpgsql
volatile
parallel safe
security invoker
set search_path = ''
as $$
begin
  perform app.check_items(shape, jsonb_build_array(coalesce(input, 'null')), name);
end
$$;
comment on function app.check_input(text, jsonb, text) is 'Raises PT400 schema_violation that lists every fault of one object.';
