-- Once per test database: the assertions. The server's own pgTAP where it has one, else the part of it that these
-- tests use, with the same names, arguments, rules and output. By hand, in a database that `sisu db migrate` prepared:
--
--   psql -v ON_ERROR_STOP=1 -Atq -f sql_tests/0000_setup.sql -f sql_tests/0001_helpers.sql -f sql_tests/4001_….sql
--   pg_prove -d "$DATABASE_URL" sql_tests/[1-9]*.sql         (after the setup files)

\set ON_ERROR_STOP on
set client_min_messages = warning;
create schema if not exists app_test;

select exists (select from pg_extension where extname = 'pgtap')
    or exists (select from pg_available_extension_versions
                where name = 'pgtap' and (trusted or current_setting('is_superuser')::boolean)) as has_pgtap \gset

\if :has_pgtap

create extension if not exists pgtap schema public;
select '# assertions: pgTAP ' || extversion from pg_extension where extname = 'pgtap';

\else

set search_path = public;

-- Counters live in settings of the session, so they roll back with the test as pgTAP's temporary tables do.

create or replace function _tap(name text) returns integer language sql stable as $$
  select coalesce(nullif(current_setting('tap.' || name, true), ''), '0')::integer
$$;

create or replace function _tap_set(name text, value integer) returns integer language sql volatile as $$
  select set_config('tap.' || name, value::text, false)::integer
$$;

create or replace function plan(integer) returns text language plpgsql as $$
begin
  if _tap('planned') <> 0 then
    raise exception 'You tried to plan twice!';
  end if;
  perform _tap_set('run', 0), _tap_set('failed', 0), _tap_set('planned', $1);
  return '1..' || $1;
end $$;

create or replace function no_plan() returns setof boolean language plpgsql as $$
begin
  perform _tap_set('run', 0), _tap_set('failed', 0), _tap_set('planned', -1);
end $$;

create or replace function diag(text) returns text language sql immutable as $$
  select regexp_replace($1, '^', '# ', 'gn')
$$;

create or replace function finish(exception_on_failure boolean default null) returns setof text language plpgsql as $$
declare
  planned integer := _tap('planned');
  run     integer := _tap('run');
  failed  integer := _tap('failed');
begin
  if planned = 0 then
    raise exception 'No plan: start with select plan(n) or select * from no_plan()';
  elsif planned = -1 then
    planned := run;
    return next '1..' || run;
  end if;
  if run = 0 then
    return next '# No tests run!';
  elsif planned <> run then
    return next format('# Looks like you planned %s test%s but ran %s', planned, case when planned = 1 then '' else 's' end, run);
  elsif failed > 0 then
    return next format('# Looks like you failed %s test%s of %s', failed, case when failed = 1 then '' else 's' end, run);
  end if;
  perform _tap_set('planned', 0);
  if exception_on_failure and failed > 0 then
    raise exception '% test(s) failed of %', failed, run;
  end if;
end $$;

create or replace function ok(boolean, text default null) returns text language plpgsql as $$
declare
  n integer := _tap_set('run', _tap('run') + 1);
  name text := case when coalesce($2, '') = '' then '' else ' - ' || replace($2, E'\n', E'\n# ') end;
begin
  if _tap('planned') = 0 then
    raise exception 'You tried to run a test without a plan! Gotta have a plan';
  end if;
  if $1 then
    return format('ok %s%s', n, name);
  end if;
  perform _tap_set('failed', _tap('failed') + 1);
  return format('not ok %s%s', n, name) || E'\n'
    || diag(format('Failed test %s%s', n, case when coalesce($2, '') = '' then '' else ': "' || $2 || '"' end))
    || case when $1 is null then E'\n' || diag('    (test result was NULL)') else '' end;
end $$;

-- The verdict, and below a failure what was seen.
create or replace function _tap_verdict(boolean, text, seen text) returns text language sql volatile as $$
  select ok($1, $2) || case when $1 then '' else E'\n' || diag(seen) end
$$;

create or replace function pass(text default null) returns text language sql volatile as 'select ok(true, $1)';
create or replace function fail(text default null) returns text language sql volatile as 'select ok(false, $1)';

create or replace function skip(why text, how_many integer default 1) returns text language plpgsql as $$
declare
  lines text[] := '{}';
begin
  for i in 1 .. how_many loop
    lines := lines || format('ok %s # SKIP %s', _tap_set('run', _tap('run') + 1), why);
  end loop;
  return array_to_string(lines, E'\n');
end $$;

create or replace function is(anyelement, anyelement, text default null) returns text language sql volatile as $$
  select _tap_verdict($1 is not distinct from $2, $3,
    format(E'        have: %s\n        want: %s', coalesce($1::text, 'NULL'), coalesce($2::text, 'NULL')))
$$;

create or replace function isnt(anyelement, anyelement, text default null) returns text language sql volatile as $$
  select _tap_verdict($1 is distinct from $2, $3,
    format(E'        have: %s\n        want: anything else', coalesce($1::text, 'NULL')))
$$;

create or replace function cmp_ok(anyelement, text, anyelement, text default null) returns text language plpgsql as $$
declare
  holds boolean;
begin
  execute format('select %L::%s %s %L::%s', $1, pg_typeof($1), $2, $3, pg_typeof($3)) into holds;
  return _tap_verdict(coalesce(holds, false), $4,
    format(E'    %s\n        %s\n    %s', coalesce($1::text, 'NULL'), $2, coalesce($3::text, 'NULL')));
end $$;

create or replace function _tap_like(boolean, text, text, text, word text) returns text language sql volatile as $$
  select _tap_verdict(coalesce($1, false), $4,
    format(E'                  %s\n   %s: %s', coalesce(quote_literal($2), 'NULL'), word, coalesce(quote_literal($3), 'NULL')))
$$;

create or replace function matches(anyelement, text, text default null) returns text language sql volatile as $$
  select _tap_like($1::text ~ $2, $1::text, $2, $3, 'doesn''t match')
$$;
create or replace function imatches(anyelement, text, text default null) returns text language sql volatile as $$
  select _tap_like($1::text ~* $2, $1::text, $2, $3, 'doesn''t match')
$$;
create or replace function doesnt_match(anyelement, text, text default null) returns text language sql volatile as $$
  select _tap_like($1::text !~ $2, $1::text, $2, $3, '      matches')
$$;
create or replace function alike(anyelement, text, text default null) returns text language sql volatile as $$
  select _tap_like($1::text ~~ $2, $1::text, $2, $3, 'doesn''t match')
$$;
create or replace function unalike(anyelement, text, text default null) returns text language sql volatile as $$
  select _tap_like($1::text !~~ $2, $1::text, $2, $3, '      matches')
$$;

-- Statements: raise or not ---------------------------------------------------------------------------------------

-- A word without a space is the name of a prepared statement.
create or replace function _query(text) returns text language sql immutable as $$
  select case when $1 like '"%' or $1 !~ '[[:space:]]' then 'execute ' || $1 else $1 end
$$;

create or replace function throws_ok(text, character(5), text, text) returns text language plpgsql as $$
declare
  descr text := coalesce($4, 'threw ' || $2 || ': ' || $3, 'threw ' || $2, 'threw ' || $3, 'threw an exception');
  state text;
  said  text;
begin
  begin
    execute _query($1);
  exception when others or assert_failure then
    get stacked diagnostics state = returned_sqlstate, said = message_text;
  end;
  return _tap_verdict(
    state is not null and ($2 is null or state = $2) and ($3 is null or said = $3), descr,
    format(E'      caught: %s\n      wanted: %s%s', coalesce(state || ': ' || said, 'no exception'),
           coalesce($2, 'an exception'), coalesce(': ' || $3, '')));
end $$;
create or replace function throws_ok(text, text, text) returns text language sql volatile as $$
  select case when octet_length($2) = 5 then throws_ok($1, $2::character(5), $3, null::text)
              else throws_ok($1, null::character(5), $2, $3) end
$$;
create or replace function throws_ok(text, text) returns text language sql volatile as $$
  select case when octet_length($2) = 5 then throws_ok($1, $2::character(5), null::text, null::text)
              else throws_ok($1, null::character(5), $2, null::text) end
$$;
create or replace function throws_ok(text) returns text language sql volatile as $$
  select throws_ok($1, null::character(5), null::text, null::text)
$$;

create or replace function _tap_message(text) returns text language plpgsql as $$
begin
  execute _query($1);
  return null;
exception when others or assert_failure then
  return sqlerrm;
end $$;

create or replace function _tap_throws(said text, pattern text, fits boolean, descr text) returns text language sql volatile as $$
  select _tap_verdict(coalesce(fits, false), coalesce(descr, 'threw ' || pattern),
    case when said is null then format(E'    no exception thrown\n    wanted: %L', pattern)
         else format(E'   error message: %L\n   doesn''t match: %L', said, pattern) end)
$$;
create or replace function throws_like(text, text, text default null) returns text language sql volatile as $$
  select _tap_throws(m, $2, m ~~ $2, $3) from _tap_message($1) as m
$$;
create or replace function throws_ilike(text, text, text default null) returns text language sql volatile as $$
  select _tap_throws(m, $2, m ~~* $2, $3) from _tap_message($1) as m
$$;
create or replace function throws_matching(text, text, text default null) returns text language sql volatile as $$
  select _tap_throws(m, $2, m ~ $2, $3) from _tap_message($1) as m
$$;

create or replace function lives_ok(text, text default null) returns text language plpgsql as $$
declare
  state text;
  said  text;
begin
  begin
    execute _query($1);
  exception when others or assert_failure then
    get stacked diagnostics state = returned_sqlstate, said = message_text;
  end;
  return _tap_verdict(state is null, $2, format('    died: %s: %s', state, said));
end $$;

-- Results of queries ---------------------------------------------------------------------------------------------

create or replace function _tap_rows(text) returns text[] language plpgsql as $$
declare
  one  record;
  rows text[] := '{}';
begin
  for one in execute _query($1) loop
    rows := rows || one::text;
  end loop;
  return rows;
end $$;

-- The elements of an array as a query's rows would be.
create or replace function _tap_rows(anyarray) returns text[] language sql stable as $$
  select coalesce(array_agg(row(e)::text order by n), '{}') from unnest($1) with ordinality as u (e, n)
$$;

create or replace function is_empty(text, text default null) returns text language sql volatile as $$
  select _tap_verdict(cardinality(rows) = 0, $2, E'    Unexpected records:\n        ' || array_to_string(rows, E'\n        '))
    from _tap_rows($1) as rows
$$;
create or replace function isnt_empty(text, text default null) returns text language sql volatile as $$
  select _tap_verdict(cardinality(rows) > 0, $2, '    Query returned no rows') from _tap_rows($1) as rows
$$;

create or replace function _tap_same(text[], text[], text) returns text language sql volatile as $$
  select _tap_verdict($1 = $2, $3, (
    select format(E'    Results differ beginning at row %s:\n        have: %s\n        want: %s', i,
                  coalesce($1[i], 'NULL'), coalesce($2[i], 'NULL'))
      from generate_series(1, greatest(cardinality($1), cardinality($2))) as i
     where $1[i] is distinct from $2[i] order by i limit 1))
$$;

-- kind: bag counts duplicates, set does not, has only asks that nothing wanted is missing.
create or replace function _tap_contents(have text[], want text[], descr text, kind text) returns text language plpgsql as $$
declare
  extra   text[];
  missing text[];
begin
  if kind = 'bag' then
    extra   := array(select unnest(have) except all select unnest(want) order by 1);
    missing := array(select unnest(want) except all select unnest(have) order by 1);
  else
    extra   := array(select unnest(have) except select unnest(want) order by 1);
    missing := array(select unnest(want) except select unnest(have) order by 1);
  end if;
  if kind = 'has' then
    extra := '{}';
  end if;
  return _tap_verdict(extra = '{}' and missing = '{}', descr, concat_ws(E'\n',
    case when extra <> '{}' then E'    Extra records:\n        ' || array_to_string(extra, E'\n        ') end,
    case when missing <> '{}' then E'    Missing records:\n        ' || array_to_string(missing, E'\n        ') end));
end $$;

create or replace function results_eq(text, text, text default null) returns text language sql volatile as $$
  select _tap_same(_tap_rows($1), _tap_rows($2), $3)
$$;
create or replace function results_eq(text, anyarray, text default null) returns text language sql volatile as $$
  select _tap_same(_tap_rows($1), _tap_rows($2), $3)
$$;
create or replace function set_eq(text, text, text default null) returns text language sql volatile as $$
  select _tap_contents(_tap_rows($1), _tap_rows($2), $3, 'set')
$$;
create or replace function set_eq(text, anyarray, text default null) returns text language sql volatile as $$
  select _tap_contents(_tap_rows($1), _tap_rows($2), $3, 'set')
$$;
create or replace function bag_eq(text, text, text default null) returns text language sql volatile as $$
  select _tap_contents(_tap_rows($1), _tap_rows($2), $3, 'bag')
$$;
create or replace function bag_eq(text, anyarray, text default null) returns text language sql volatile as $$
  select _tap_contents(_tap_rows($1), _tap_rows($2), $3, 'bag')
$$;
create or replace function set_has(text, text, text default null) returns text language sql volatile as $$
  select _tap_contents(_tap_rows($1), _tap_rows($2), $3, 'has')
$$;

-- The catalog ----------------------------------------------------------------------------------------------------

create or replace function _tap_relation(name, name, kinds text) returns boolean language sql stable as $$
  select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where n.nspname = $1 and c.relname = $2 and c.relkind::text = any (string_to_array(kinds, null)))
$$;
create or replace function has_schema(name, text default null) returns text language sql volatile as $$
  select ok(exists (select from pg_namespace where nspname = $1), coalesce($2, format('Schema %I should exist', $1)))
$$;
create or replace function has_table(name, name, text) returns text language sql volatile as $$
  select ok(_tap_relation($1, $2, 'rp'), coalesce($3, format('Table %I.%I should exist', $1, $2)))
$$;
create or replace function hasnt_table(name, name, text) returns text language sql volatile as $$
  select ok(not _tap_relation($1, $2, 'rp'), coalesce($3, format('Table %I.%I should not exist', $1, $2)))
$$;
create or replace function has_view(name, name, text) returns text language sql volatile as $$
  select ok(_tap_relation($1, $2, 'v'), coalesce($3, format('View %I.%I should exist', $1, $2)))
$$;
create or replace function has_role(name, text default null) returns text language sql volatile as $$
  select ok(exists (select from pg_roles where rolname = $1), coalesce($2, format('Role %I should exist', $1)))
$$;

create or replace function _tap_columns(name, name) returns name[] language sql stable as $$
  select array(select a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped order by a.attnum)
$$;
create or replace function has_column(name, name, name, text) returns text language sql volatile as $$
  select ok($3 = any (_tap_columns($1, $2)), coalesce($4, format('Column %I.%I.%I should exist', $1, $2, $3)))
$$;
create or replace function columns_are(name, name, name[], text default null) returns text language sql volatile as $$
  select _tap_contents(_tap_columns($1, $2)::text[], $3::text[],
                       coalesce($4, format('Table %I.%I should have the correct columns', $1, $2)), 'set')
$$;

create or replace function _tap_function(name, name, name[]) returns boolean language sql stable as $$
  select exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                  where n.nspname = $1 and p.proname = $2
                    and ($3 is null or string_to_array(p.proargtypes::text, ' ')::oid[] = $3::text[]::regtype[]::oid[]))
$$;
create or replace function _tap_signature(name, name, name[]) returns text language sql stable as $$
  select format('Function %I.%I(%s)', $1, $2, array_to_string($3, ', '))
$$;
create or replace function has_function(name, name, name[], text) returns text language sql volatile as $$
  select ok(_tap_function($1, $2, $3), coalesce($4, _tap_signature($1, $2, $3) || ' should exist'))
$$;
create or replace function has_function(name, name, name[]) returns text language sql volatile as $$
  select has_function($1, $2, $3, null)
$$;
create or replace function has_function(name, name, text) returns text language sql volatile as $$
  select ok(_tap_function($1, $2, null), $3)
$$;
create or replace function hasnt_function(name, name, name[], text) returns text language sql volatile as $$
  select ok(not _tap_function($1, $2, $3), coalesce($4, _tap_signature($1, $2, $3) || ' should not exist'))
$$;

reset search_path;
select '# assertions: the small stand-in for pgTAP (this server has none)';

\endif
