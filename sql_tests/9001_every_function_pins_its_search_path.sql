-- Policy: search_path '' on every function, and no function of PUBLIC's.
begin;
select plan(5);

select is_empty($$select p.oid::regprocedure from pg_proc as p where p.pronamespace = 'app'::regnamespace and not coalesce('search_path=""' = any (p.proconfig), false)$$,
  'search_path is empty in every function');
select is_empty($$select p.oid::regprocedure from pg_proc as p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
  where p.pronamespace = 'app'::regnamespace and a.grantee = 0$$, 'PUBLIC may execute nothing');
select is_empty($$select c.oid::regclass from pg_class as c cross join lateral aclexplode(c.relacl) as a where c.relnamespace in ('app'::regnamespace, 'dbos'::regnamespace) and a.grantee = 0$$, 'PUBLIC may read nothing');
select is_empty($$select a.privilege_type from pg_namespace as n cross join lateral aclexplode(n.nspacl) as a where n.nspname in ('app', 'dbos') and a.grantee = 0$$, 'nor use the schemas');
select is_empty($$select p.oid::regprocedure from pg_proc as p where p.pronamespace = 'app'::regnamespace and p.prokind <> 'f'$$, 'there are only functions');
rollback;
