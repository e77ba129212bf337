-- Canonical JSON: one text per value, so that a hash can name it (RFC 8785, JCS).
--
--   app.canonical_json(value jsonb) → text      keys in order of their UTF-16 code units, numbers as ECMAScript prints them, no white space
--   app.sha256_hex(text | bytea) → text         hex, lower case
--
-- Invariant: equal JSON gives equal text, and the text is what any other implementation of RFC 8785 gives. A number is an IEEE 754 double:
-- 1.0 is 1, an integer beyond 2^53 is the double it rounds to, one that is no double at all is PT400.

create or replace function app.sha256_hex(value text)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select encode(sha256(convert_to(value, 'UTF8')), 'hex');
$$;
comment on function app.sha256_hex(text) is 'Hex sha256 of a text in UTF-8.';

create or replace function app.sha256_hex(value bytea)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  select encode(sha256(value), 'hex');
$$;
comment on function app.sha256_hex(bytea) is 'Hex sha256 of bytes.';

create or replace function app.canonical_number(value numeric)
returns text
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
set extra_float_digits = 1
as $$
declare
  plain text := trim_scale(value)::text;
  float double precision;
  digits text;      -- significant digits, no trailing zero
  place integer;    -- the decimal point stands after so many of them
  shorter text;
  sign text := case when value < 0 then '-' else '' end;
begin
  -- up to 15 significant digits are their own shortest form
  if value = 0 or (abs(value) >= 0.000001 and length(ltrim(translate(plain, '-.', ''), '0')) <= 15) then
    return plain;
  elsif abs(value) > 1.7976931348623158e308 then
    perform app.fail('PT400', 'schema_violation', format('the number %s… is not a double', left(plain, 30)),
      '[{"path": "", "message": "holds a number that is out of range"}]', 'send it as a string');
  elsif abs(value) <= 2.4703282292062327e-324 then
    return '0';
  end if;
  float := abs(value)::double precision;
  digits := regexp_replace(split_part(float::text, 'e', 1), '\.', '');
  place := length(split_part(split_part(float::text, 'e', 1), '.', 1)) + coalesce(nullif(split_part(float::text, 'e', 2), '')::integer, 0);
  place := place - (length(digits) - length(ltrim(digits, '0')));
  digits := rtrim(ltrim(digits, '0'), '0');
  -- Postgres avoids a shorter form that lies exactly between two doubles, ECMAScript does not (1e23); such forms exist only in this range
  while float between 9e15 and 1e41 and length(digits) > 1 loop
    shorter := null;
    if (left(digits, -1) || 'e' || place - length(digits) + 1)::double precision = float then
      shorter := left(digits, -1);
    elsif ((left(digits, -1)::numeric + 1)::text || 'e' || place - length(digits) + 1)::double precision = float then
      shorter := (left(digits, -1)::numeric + 1)::text;
      place := place + length(shorter) - (length(digits) - 1);
    end if;
    exit when shorter is null;
    digits := rtrim(shorter, '0');
  end loop;
  return sign || case
    when place between length(digits) and 21 then rpad(digits, place, '0')
    when place between 1 and 21 then left(digits, place) || '.' || substr(digits, place + 1)
    when place between -5 and 0 then '0.' || repeat('0', -place) || digits
    else left(digits, 1) || case when length(digits) > 1 then '.' || substr(digits, 2) else '' end
      || 'e' || case when place > 0 then '+' else '-' end || abs(place - 1)::text end;
end
$$;
comment on function app.canonical_number(numeric) is 'A number as ECMAScript prints it. PT400 when it is out of the range of a double.';

create or replace function app.canonical_key(key text)
returns text
language sql
immutable
parallel safe
security invoker
set search_path = ''
as $$
  -- code points sort like UTF-16 code units once those beyond the BMP stand right after U+D7FF, where the surrogates would be
  select case when octet_length(key) = length(key) then key
    else regexp_replace(key, '([\U00010000-\U0010FFFF])', U&'\D7FF\+10FFFF' || '\1', 'g') end;
$$;
comment on function app.canonical_key(text) is 'Sorts, in the C collation, as the key does by UTF-16 code units.';

create or replace function app.canonical_json_at(value jsonb, depth integer)
returns text
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
declare
  kind text := jsonb_typeof(value);
begin
  if depth > 500 then
    perform app.fail('PT400', 'schema_violation', 'the JSON is nested deeper than 500 levels',
      '[{"path": "", "message": "is nested deeper than 500 levels"}]', 'make it flatter');
  end if;
  -- each branch is a plan of its own: a value pays only for what it is
  if kind = 'object' then
    return (
      select '{' || coalesce(string_agg(to_jsonb(e.key)::text || ':' || case jsonb_typeof(e.value)
          when 'number' then case when e.value::text ~ '^-?[1-9][0-9]{0,14}$' then e.value::text else app.canonical_number(e.value::numeric) end
          when 'object' then case when e.value = '{}' and depth < 500 then '{}' else app.canonical_json_at(e.value, depth + 1) end
          when 'array' then case when e.value = '[]' and depth < 500 then '[]' else app.canonical_json_at(e.value, depth + 1) end
          else e.value::text end, ','
          order by case when octet_length(e.key) = length(e.key) then e.key else app.canonical_key(e.key) end collate "C"), '') || '}'
      from jsonb_each(value) as e);
  elsif kind = 'array' then
    return (
      select '[' || coalesce(string_agg(case jsonb_typeof(e.value)
          when 'number' then case when e.value::text ~ '^-?[1-9][0-9]{0,14}$' then e.value::text else app.canonical_number(e.value::numeric) end
          when 'object' then case when e.value = '{}' and depth < 500 then '{}' else app.canonical_json_at(e.value, depth + 1) end
          when 'array' then case when e.value = '[]' and depth < 500 then '[]' else app.canonical_json_at(e.value, depth + 1) end
          else e.value::text end, ',' order by e.ordinality), '') || ']'
      from jsonb_array_elements(value) with ordinality as e);
  elsif kind = 'number' then
    return app.canonical_number(value::numeric);
  end if;
  return value::text;
end
$$;
comment on function app.canonical_json_at(jsonb, integer) is 'Canonical text of a value that stands so many levels deep. PT400 beyond 500 levels.';

create or replace function app.canonical_json(value jsonb)
returns text
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return app.canonical_json_at(value, 1);
end
$$;
comment on function app.canonical_json(jsonb) is 'The canonical text of a JSON value, RFC 8785. PT400 for a number out of range.';
