-- Policy: tables, columns, views, functions, types, sequences, the schema.
begin;
select plan(5);

select is_empty($$select c.oid::regclass from pg_class as c where c.relnamespace in ('app'::regnamespace, 'dbos'::regnamespace) and c.relkind in ('r', 'v', 'm', 'S', 'p')
  and c.relname <> 'alembic_version' and coalesce(obj_description(c.oid, 'pg_class'), '') = ''
  and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype in ('a', 'i') and c.relkind = 'S')$$, 'tables, views and sequences');
select is_empty($$select c.oid::regclass, a.attname from pg_class as c join pg_attribute as a on a.attrelid = c.oid
  where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'alembic_version' and a.attnum > 0 and not a.attisdropped
    and coalesce(col_description(c.oid, a.attnum), '') = ''$$, 'columns');
select is_empty($$select p.oid::regprocedure from pg_proc as p where p.pronamespace = 'app'::regnamespace and coalesce(obj_description(p.oid, 'pg_proc'), '') = ''$$, 'functions');
select is_empty($$select t.oid::regtype from pg_type as t join pg_class as c on c.oid = t.typrelid where t.typnamespace = 'app'::regnamespace and c.relkind = 'c'
  and coalesce(obj_description(t.oid, 'pg_type'), '') = ''$$, 'types');
select is_empty($$select n.nspname from pg_namespace as n where n.nspname in ('app', 'dbos') and obj_description(n.oid, 'pg_namespace') is null$$, 'the schemas');
rollback;
