-- Statements of the benchmarks; those that fill the tables are in seed.sql. The ceiling is the least that a set-based engine on Postgres has to do for a step whose
-- work happens outside the database: lease it, store its result, hand the queue over to the next step. One statement
-- commits fifty steps and leases fifty more; two connections; nothing else (no attempts, artifacts, transitions, fairness).

-- == what is measured ==

-- name: server
select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit, current_setting('shared_buffers') as shared_buffers;

-- name: setting
select current_setting(%(setting)s) as value;

-- name: ceiling_schema
drop schema if exists ceiling cascade;
create schema ceiling;
create table ceiling.results (run_id text not null, idx integer not null, output jsonb, ended_at timestamptz not null default clock_timestamp(),
                              primary key (run_id, idx));
create table ceiling.queue (id bigint generated always as identity primary key, run_id text not null, idx integer not null,
                            leased_until timestamptz) with (fillfactor = 70);

-- name: ceiling_seed
insert into ceiling.queue (run_id, idx) select 'ih_' || repeat(md5(n::text), 2), 0 from generate_series(1, %(runs)s) as n;

-- name: ceiling_call
with committed as (
  delete from ceiling.queue where id = any (%(done)s::bigint[]) returning run_id, idx
), stored as (
  insert into ceiling.results (run_id, idx, output) select run_id, idx, jsonb_build_object('idx', idx) from committed
), handed_over as (
  insert into ceiling.queue (run_id, idx) select run_id, idx + 1 from committed where idx + 1 < %(steps)s
)
update ceiling.queue set leased_until = clock_timestamp() + interval '30 seconds'
where id = any (array(
  select q.id from ceiling.queue as q
  where q.leased_until is null and q.id <> all (%(done)s::bigint[]) order by q.id limit %(batch)s for update skip locked))
returning id;

-- name: ceiling_count
select count(*) from ceiling.results;

-- name: span
select count(*) filter (where r.status = 'SUCCESS') as done,
       extract(epoch from max(r.ended_at) - min(r.started_at))::double precision as seconds,
       sum((select count(*) from app.run_steps as s where s.run_id = r.run_id and s.status = 'SUCCESS'))::integer as steps
  from app.runs as r where r.run_id = any (%(run_ids)s);

-- name: latency
select extract(epoch from r.ended_at - r.created_at)::double precision * 1000 as ms
  from app.runs as r where r.run_id = any (%(run_ids)s) order by 1;

-- name: laws
select count(*) from app.v_invariants;

-- name: alive
select count(*) from app.v_ops_workers as w where w.alive;

-- name: is_over
select not exists (select from app.runs as r where r.status in ('ENQUEUED', 'PENDING')) as over;

-- name: pause
select app.pause_queue(queue_name => 'intentQ', actor => 'bench', reason => 'until the runners are there');

-- name: unpause
select app.unpause_queue(queue_name => 'intentQ', actor => 'bench', reason => 'the runners are there');

-- name: make_intents
insert into app.intents (intent_id, body)
select app.intent_id(b.body), b.body
  from generate_series(1, %(count)s) as n
    cross join lateral (
      select jsonb_build_object('goal', %(label)s::text || ' ' || n, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)) as b (body)
returning intent_id;

-- == a runner by hand ==

-- name: register
select app.register_worker(worker => %(worker)s,
  info => jsonb_build_object('appVersion', %(version)s::text, 'queues', to_jsonb(%(queues)s::text[]), 'concurrency', 50));

-- name: work
select outcome, run_id, step_id, idx, task_key, attempt, queue_name, msg_id, read_ct
  from app.work_rows(worker => %(worker)s, results => array(select r from jsonb_populate_recordset(null::app.result, %(results)s::jsonb) as r), want => %(want)s::jsonb);

-- name: app_version
select app.setting('app_version') as version;

-- name: ceiling_claim
update ceiling.queue set leased_until = clock_timestamp() + interval '30 seconds'
where id = any (array(select q.id from ceiling.queue as q where q.leased_until is null order by q.id limit %(batch)s for update skip locked))
returning id, run_id, idx;

-- == starts: the ceiling inserts the same rows into tables of the same columns, defaults, checks and indexes ==

-- name: ceiling_copies
drop schema if exists copies cascade;
create schema copies;
create table copies.intents (like app.intents including all);
create table copies.runs (like app.runs including all);
create table copies.run_steps (like app.run_steps including all);

-- name: copy_run
with run as (insert into copies.runs select r.* from app.runs as r where r.run_id = %(run_id)s)
insert into copies.run_steps select s.* from app.run_steps as s where s.run_id = %(run_id)s;

-- name: copy_runs
with intent as (insert into copies.intents select i.* from app.intents as i where i.intent_id = any (%(run_ids)s)),
  run as (insert into copies.runs select r.* from app.runs as r where r.run_id = any (%(run_ids)s))
insert into copies.run_steps select s.* from app.run_steps as s where s.run_id = any (%(run_ids)s);

-- name: drop_copies
drop schema copies cascade;

-- name: bare_table
create schema if not exists ceiling;
create table if not exists ceiling.commits (id bigint generated always as identity primary key, run_id text not null, at timestamptz not null default clock_timestamp());

-- name: bare_commit
insert into ceiling.commits (run_id) values ('ih_' || repeat(md5(random()::text), 2));

-- == idle statements, WAL ==

-- name: has_statements
select coalesce(current_setting('shared_preload_libraries'), '') like '%%pg_stat_statements%%' as loaded;

-- name: no_autovacuum
do $$
declare
  t regclass;
begin
  for t in select c.oid from pg_class as c where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('app', 'pgmq') loop
    execute format('alter table %s set (autovacuum_enabled = off)', t);
  end loop;
end
$$;

-- name: transactions
select d.xact_commit + d.xact_rollback as count from pg_stat_database as d where d.datname = %(database)s;

-- name: calls
select coalesce(sum(s.calls), 0)::bigint as count from pg_stat_statements as s join pg_database as d on d.oid = s.dbid where d.datname = %(database)s;

-- name: function_calls
select f.funcname as name, f.calls from pg_stat_user_functions as f
where f.schemaname = 'app' and f.funcname in ('work_rows', 'heartbeat', 'take_ends', 'forget_ends', 'register_worker', 'retire_worker', 'release');

-- name: wal
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as bytes;

-- == a snapshot that is held ==

-- name: hold
select count(*) from app.recipes;

-- name: claimed
-- each run of this benchmark is one lane, claimed once
select app.handed_out('intentQ') as count;

-- name: clock
select clock_timestamp() as now;

-- name: ended_by_stretch
select floor(extract(epoch from s.ended_at - %(since)s::timestamptz) / %(seconds)s::double precision)::integer as stretch, count(*) as steps
  from app.run_steps as s
  where s.status = 'SUCCESS' and s.ended_at >= %(since)s::timestamptz and s.ended_at < %(since)s::timestamptz + %(stretches)s * %(seconds)s * interval '1 second'
  group by 1 order by 1;

-- name: dead_rows
select sum(t.n_dead_tup)::bigint as count from pg_stat_user_tables as t where t.schemaname in ('app', 'pgmq');

-- == what an operator reads: read_… are measured with %(run_id)s, a run that waits ==

-- name: heartbeat
select * from app.heartbeat(worker => %(worker)s);

-- name: views
select v.schemaname as schema, v.viewname as name from pg_views as v
where v.schemaname in ('app', 'dbos') and v.viewname not in ('v_run_timeline', 'v_arguments') order by 1, 2;

-- name: a_run
select r.run_id from app.runs as r where r.status = %(status)s order by r.created_at desc limit 1;

-- name: read_timeline
select * from app.v_run_timeline where run_id = %(run_id)s order by idx, started_at;

-- name: read_explain_run
select * from app.explain_run(%(run_id)s);

-- name: read_get_run
select app.get_run(%(run_id)s);

-- name: read_get_steps
select app.get_steps(%(run_id)s);

-- name: read_list_runs
select app.list_runs('{}');

-- name: read_queue_depth
select app.queue_depth();

-- name: read_gauges
select app.gauges();

-- name: read_health
select app.health();

-- name: read_page_run
select app.page_run(%(run_id)s);

-- name: read_page_step
select app.page_step(%(run_id)s, 0);

-- name: read_page_ops
select app.page_ops();

-- name: read_page_charts
select app.page_charts();

-- name: read_page_recipes
select app.page_recipes();

-- name: read_search_runs
select app.search_runs('{}');

-- name: read_search_for_a_text
select app.search_runs('{"text": "no goal has this"}');

-- name: bare_read
select r.* from app.runs as r where r.run_id = %(run_id)s;
