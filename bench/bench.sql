-- Statements of the benchmarks; those that fill the tables are in seed.sql. The ceiling is the least that a set-based engine on Postgres has to do for a step whose
-- work happens outside the database: lease it, store its result, hand the queue over to the next step. One statement
-- commits fifty steps and leases fifty more; two connections; nothing else (no attempts, artifacts, transitions, fairness).

-- == what is measured ==

-- name: server
select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit, current_setting('shared_buffers') as shared_buffers;

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
