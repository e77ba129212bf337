-- Policy: role × view × table, and somebody without a role: what is not on the page of grants is not there.
begin;
select plan(9);

create temp table role as select unnest(array['app_api', 'app_worker', 'app_ops', 'app_read']) as name;
create role nobody_in_particular nologin;
create temp view relation as select c.oid, c.oid::regclass::text as name, c.relkind from pg_class as c
  where c.relnamespace in (select n.oid from pg_namespace as n where n.nspname in ('app', 'dbos', 'pgmq')) and c.relkind in ('r', 'p', 'v', 'm');

select bag_eq($$select r.name || ' ' || v.name from role as r cross join relation as v where v.relkind = 'v' and has_table_privilege(r.name, v.oid, 'SELECT')$$,
  $$select r || ' ' || v from (values
      ('app_api', array['app.v_arguments', 'app.v_schedules']),
      ('app_ops', array['app.v_arguments', 'app.v_run_timeline', 'app.v_ops_queue_depth', 'app.v_ops_queue_fairness', 'app.v_ops_workers', 'app.v_gates_open', 'app.v_state_machine', 'app.v_recipes',
        'app.v_invariants', 'app.v_ops_inbox', 'app.v_ops_failures_24h', 'app.v_ops_slow_steps', 'dbos.workflow_status', 'dbos.operation_outputs', 'app.v_schedules']),
      ('app_read', array['app.v_arguments', 'app.v_run_timeline', 'app.v_ops_queue_depth', 'app.v_ops_queue_fairness', 'app.v_ops_workers', 'app.v_gates_open', 'app.v_state_machine', 'app.v_recipes',
        'app.v_invariants', 'app.v_ops_inbox', 'app.v_ops_failures_24h', 'app.v_ops_slow_steps', 'dbos.workflow_status', 'dbos.operation_outputs', 'app.v_schedules'])) as m (r, vs),
    unnest(m.vs) as v$$, 'who may read which view');
select is_empty($$select r.name, t.name from role as r cross join relation as t where t.relkind <> 'v' and has_any_column_privilege(r.name, t.oid, 'SELECT, INSERT, UPDATE, REFERENCES')$$,
  'nobody has a right on a column of a table');
select is_empty($$select r.name from role as r where has_schema_privilege(r.name, 'pgmq', 'USAGE, CREATE')$$, 'nobody comes to the queues but through a function');
select is_empty($$select r.name from role as r where has_schema_privilege(r.name, 'dbos', 'CREATE') or has_database_privilege(r.name, current_database(), 'CREATE')$$,
  'nobody makes an object');
select is_empty($$select m.roleid::regrole from pg_auth_members as m join role on m.member = role.name::regrole or m.member = 'nobody_in_particular'::regrole$$,
  'no role is another one, too');
select is_empty($$select p.oid::regprocedure from pg_proc as p
  where p.pronamespace in ('app'::regnamespace, 'dbos'::regnamespace) and has_function_privilege('nobody_in_particular', p.oid, 'EXECUTE')$$, 'PUBLIC may call nothing');
select is_empty($$select t.name from relation as t where has_any_column_privilege('nobody_in_particular', t.oid, 'SELECT, INSERT, UPDATE, REFERENCES')$$, 'nor read anything');
select is_empty($$select n.nspname from pg_namespace as n where n.nspname in ('app', 'dbos', 'pgmq') and has_schema_privilege('nobody_in_particular', n.oid, 'USAGE, CREATE')$$,
  'nor enter a schema');
select is_empty($$select o.oid::regprocedure from pg_proc as o where o.pronamespace = 'app'::regnamespace and o.prosecdef and not coalesce(o.proconfig @> array['search_path=""'], false)$$,
  'what runs with the rights of its owner pins its search path');
rollback;
