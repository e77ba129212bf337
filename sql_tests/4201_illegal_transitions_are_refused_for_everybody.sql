-- Every pair that app.run_transitions does not list is PT409 for a direct UPDATE by the owner, also with triggers of replication off.
begin;
select plan(10);

create temp table status (entity text, status text);
insert into status select 'run', unnest(array['ENQUEUED', 'PENDING', 'WAITING_INPUT', 'SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'])
  union all select 'step', unnest(array['ENQUEUED', 'PENDING', 'SUCCESS', 'ERROR', 'CANCELLED']);
create temp table pair as
select a.entity, a.status as before, b.status as after, exists (select from app.run_transitions as t
    where t.entity = a.entity and t.from_status = a.status and t.to_status = b.status) as legal
from status as a join status as b on a.entity = b.entity and a.status <> b.status;
select is((select count(*) from pair where entity = 'run'), 42::bigint, 'all pairs of runs');
select is((select count(*) from pair where entity = 'step'), 20::bigint, 'all pairs of steps');

create function pg_temp.set_run(id text, s text) returns void language sql as $$
  update app.runs set status = s, started_at = app.now(), error = '{"code": "x", "message": "x"}',
    ended_at = case when s in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') then app.now() end
  where run_id = id $$;
create function pg_temp.set_step(id text, s text) returns void language sql as $$
  update app.run_steps set status = s, queue_seq = case s when 'ENQUEUED' then 1 end, worker = 'w', msg_id = 1, read_ct = 0, error = '{"code": "x", "message": "x"}',
    ended_at = case when s in ('SUCCESS', 'ERROR', 'CANCELLED') then app.now() end
  where run_id = id $$;

create temp table mode as select tgrelid::regclass as relation, tgname, tgenabled from pg_trigger
  where tgrelid in ('app.runs'::regclass, 'app.run_steps'::regclass) and not tgisinternal;
create function pg_temp.triggers(on_again boolean) returns void language plpgsql as $$
declare
  m mode;
begin
  for m in select * from mode loop
    execute format('alter table %s %s trigger %I', m.relation, case when not on_again then 'disable' when m.tgenabled = 'A' then 'enable always' else 'enable' end, m.tgname);
  end loop;
end $$;

-- what a pair gives: a fresh run is brought to the first status with the triggers off, the second is tried with them on
create function pg_temp.try(p pair) returns text language plpgsql as $$
declare
  id text := app_test.a_run(format('%s %s %s', p.entity, p.before, p.after));
begin
  perform pg_temp.triggers(false);
  execute format('select pg_temp.set_%s(%L, %L)', p.entity, id, p.before);
  perform pg_temp.triggers(true);
  return coalesce((select (e ->> 'sqlstate') || ' ' || (e ->> 'code') from app_test.error_of(format('select pg_temp.set_%s(%L, %L)', p.entity, id, p.after)) as e), 'done');
end $$;
create temp table tried as select p.*, pg_temp.try(p) as outcome from pair as p;
create function pg_temp.wrong(of text) returns text language sql as $$
  select string_agg(format('%s → %s: %s', before, after, outcome), ', ') from tried
  where entity = of and outcome <> case when legal then 'done'
    when entity = 'step' and before in ('SUCCESS', 'ERROR', 'CANCELLED') then 'PT409 attempt_is_final' else 'PT409 illegal_transition' end $$;
select is(pg_temp.wrong('run'), null, 'runs do what the table says, and nothing else');
select is(pg_temp.wrong('step'), null, 'so do attempts');
select is((select count(*) from tried where legal), 20::bigint, 'the legal ones');

create temp table fresh as select app_test.a_run('replication') as id;
set local session_replication_role = replica;
select is(app_test.error_of(format('select pg_temp.set_run(%L, ''SUCCESS'')', id)) ->> 'code', 'illegal_transition', 'the triggers fire for replication too') from fresh;
set local session_replication_role = origin;
select is(app_test.error_of(format('update app.runs set status = ''SUCCESS'', ended_at = now() where run_id = %L', id)) - 'message' - 'hint',
  '{"sqlstate": "PT409", "code": "illegal_transition", "status": "ENQUEUED"}'::jsonb, 'the refusal tells the status') from fresh;
select is(app_test.error_of(format('insert into app.runs select (jsonb_populate_record(r, ''{"run_id": "x", "status": "SUCCESS", "ended_at": "now"}'')).* from app.runs as r where run_id = %L', id)) ->> 'code',
  'illegal_transition', 'a run begins ENQUEUED') from fresh;
select is(app_test.error_of(format('insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, priority, error, enqueued_at, ended_at)
  values (%L, 0, 9, ''S0'', ''ERROR'', ''intentQ'', ''1'', 1, ''{}'', now(), now())', id)) ->> 'code', 'illegal_transition', 'an attempt does not begin in ERROR') from fresh;
select is(app_test.error_of($$update app.run_transitions set entity = 'dream'$$) ->> 'sqlstate', '23514', 'the table knows runs and steps');
rollback;
