-- redrive: runs whose step lost its worker too often on this queue, oldest first, not more than asked for.
begin;
select plan(18);

update app.queues set max_recoveries = 0;
select app_test.a_recipe(), app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task"}}]') \g /dev/null
create temp table made (name text primary key, run_id text);
create function pg_temp.dies(name text, recipe text default 'plain', queue text default 'intentQ') returns text language plpgsql as $$
declare
  run_id text := app_test.a_run(name, recipe);
begin
  if queue = 'sbxQ' then
    perform app_test.finish_step('{"tasks": ["a"]}');
  end if;
  perform app_test.work_once(queue => queue);
  perform app_test.age_leases('1 hour'), app_test.recover(), app.advance('1 minute');
  return run_id;
end $$;
insert into made values ('first', pg_temp.dies('first'));
insert into made values ('task', pg_temp.dies('task', 'fan', 'sbxQ'));
insert into made values ('second', pg_temp.dies('second'));
insert into made values ('third', pg_temp.dies('third'));
insert into made values ('failed', app_test.a_run('failed'));
select app_test.fail_step() \g /dev/null
select is((select string_agg(m.name, ' ' order by r.created_at) from app.runs as r join made as m using (run_id) where status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'), 'first task second third', 'four dead lanes');
create temp table before as select app_test.everything() as hash;
create function pg_temp.said(call text) returns text language plpgsql as $$
declare
  said text;
begin
  execute format('select string_agg(concat_ws('' '', m.name, b.accepted, b.status), '', '' order by b.ordinality) from %s with ordinality as b join made as m using (run_id)', call) into said;
  return coalesce(said, '-');
end $$;

select is(pg_temp.said($$app.redrive('intentQ', 'ann', 'mended', dry_run => true)$$), 'first t MAX_RECOVERY_ATTEMPTS_EXCEEDED, second t MAX_RECOVERY_ATTEMPTS_EXCEEDED, third t MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'a dry run: oldest first');
select is(pg_temp.said($$app.redrive('sbxQ', 'ann', 'mended', dry_run => true)$$), 'task t MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'the queue is where it died, not where its run began');
select is(pg_temp.said($$app.redrive('controlQ', 'ann', 'mended')$$), '-', 'nothing died there');
select is(app_test.faults_of($$select * from app.redrive(null, '', null, 0)$$), 'actor, max_runs, queue_name, reason', 'bad arguments');
select is(app_test.faults_of($$select * from app.redrive('intentQ', 'ann', 'x', 1001)$$), 'max_runs', 'too many');
select is(app_test.error_of($$select * from app.redrive('noQ', 'ann', 'x')$$) ->> 'code', 'queue_not_found', 'no such queue');
select is(app_test.everything(), hash, 'none of it writes anything') from before;
select is(pg_temp.said($$app.redrive('intentQ', 'ann', 'mended', 2)$$), 'first t ENQUEUED, second t ENQUEUED', 'two at most');
select is((select array_agg(inline ->> 'op' || ' ' || (inline ->> 'reason')) from app.artifacts as a join made as m using (run_id) where a.step_id = 'OPS'), array['resume mended', 'resume mended'], 'each is audited');
select is(pg_temp.said($$app.redrive('intentQ', 'ann', 'mended')$$), 'third t ENQUEUED', 'then the rest');
select is(pg_temp.said($$app.redrive('intentQ', 'ann', 'mended')$$), '-', 'and no more');
select is((select array_agg(status order by idx, task_key, attempt) from app.run_steps join made using (run_id) where name = 'first'), array['ERROR', 'ENQUEUED'], 'a new attempt is in line');

-- one that dies again elsewhere is a dead lane of where it died last
update app.queues set max_recoveries = 5 where queue_name = 'sbxQ';
select is(pg_temp.said($$app.redrive('sbxQ', 'ann', 'mended')$$), 'task t ENQUEUED', 'the task');
select app.cancel_run(run_id, 'ann', 'out of the way') from made join app.runs using (run_id) where name <> 'task' and status = 'ENQUEUED' \g /dev/null
select app_test.work_once(n => 9) \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select is((select app_test.status_of(run_id) from made where name = 'task'), 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'its step died on intentQ this time');
select is(pg_temp.said($$app.redrive('sbxQ', 'ann', 'mended')$$), '-', 'so it is none of sbxQ any more');
select is(pg_temp.said($$app.redrive('intentQ', 'ann', 'mended')$$), 'task t ENQUEUED', 'but of intentQ');
select is_empty('select * from app.v_invariants');
rollback;
