-- A queue table that is empty and has grown is truncated; its ids go on counting, and one that holds a message stays as it is.
begin;
select plan(9);

create temp view size as select pg_relation_size('pgmq.q_intentq') as bytes;
select array_agg(id) as ids from unnest(app.send_leases('intentQ', (select array_agg(jsonb_build_object('runId', 'r' || n, 'taskKey', '')) from generate_series(1, 3000) as n), 30)) as id \gset
select max(id) as last from unnest(:'ids'::bigint[]) as id \gset
select cmp_ok(bytes, '>', 100000::bigint, 'it has grown') from size;
select is(app.shrink_queues(100000), '{}', 'what holds messages is left alone');
select app.drop_leases('intentQ', :'ids'::bigint[]) \g /dev/null
select cmp_ok(bytes, '>', 100000::bigint, 'dead pages stay') from size;
select is(app.shrink_queues(), '{}', 'a few are not worth it');
select is(app.shrink_queues(1000000000), '{}', 'it is told how many are');
select is(app.shrink_queues(100000), '{intentQ}', 'they are given back');
select is(bytes, 0::bigint, 'all of them') from size;
select is(app.send_leases('intentQ', array['{"runId": "r", "taskKey": ""}'::jsonb], 30), array[:last + 1::bigint], 'ids go on counting');
select set_eq($$select o from pg_class as c cross join unnest(c.reloptions) as o where c.relnamespace = 'pgmq'::regnamespace and c.relname like 'q\_%'$$,
  array['autovacuum_vacuum_scale_factor=0', 'autovacuum_vacuum_threshold=1000', 'autovacuum_vacuum_cost_delay=0', 'vacuum_truncate=off'], 'autovacuum knows what they are');
rollback;
