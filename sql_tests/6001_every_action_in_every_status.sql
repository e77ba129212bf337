-- The whole matrix: what a person may do to a run in which status, and that everything else is refused and writes nothing.
begin;
select plan(68);

select app_test.a_recipe('poison', '[{}]'), app_test.the_four_steps(), app_test.a_recipe() \g /dev/null
create temp table made (status text, run_id text);
insert into made values ('WAITING_INPUT', app_test.a_run_at('approve-plan', 'waits'));
insert into made values ('SUCCESS', app_test.a_run('good'));
select app_test.finish_step(), app_test.finish_step() \g /dev/null
insert into made values ('ERROR', app_test.a_run('bad'));
select app_test.fail_step() \g /dev/null
insert into made values ('CANCELLED', app_test.a_run('stopped'));
select app.cancel_run(run_id, 'ann', 'early') from made where status = 'CANCELLED' \g /dev/null
update app.queues set max_recoveries = 0 where queue_name = 'intentQ';
insert into made values ('MAX_RECOVERY_ATTEMPTS_EXCEEDED', app_test.a_run('deadly', 'poison'));
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
insert into made values ('PENDING', app_test.a_run('works'));
select app_test.work_once() \g /dev/null
insert into made values ('ENQUEUED', app_test.a_run('in line'));
select is(app_test.status_of(run_id), status, 'a run that is ' || status) from made;

create temp table action (op text, call text, legal text[], becomes text, tells text);
insert into action values
  ('cancel', 'app.cancel_run(%L, ''ann'', ''because'', dry_run => %L)', array['ENQUEUED', 'PENDING', 'WAITING_INPUT'], 'CANCELLED', 'from'),
  ('resume', 'app.resume_run(%L, ''ann'', ''because'', dry_run => %L)', array['ENQUEUED', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'], 'ENQUEUED', 'from'),
  ('repair', 'app.repair_run(%L, ''ann'', ''because'', dry_run => %L)', array['ERROR'], 'ENQUEUED', 'error'),
  ('fork', 'app.fork_run(%L, 0, ''ann'', ''because'', dry_run => %L)', array(select status from made), null, 'stepN');
create temp table combination as select * from action cross join made;

-- What an action does, tried and undone: an error, or the new status and the OPS artifact.
create function pg_temp.tried(op text, run_id text, call text) returns jsonb language plpgsql as $$
declare
  before integer := (select count(*) from app.artifacts as a where a.step_id = 'OPS');
  result jsonb;
begin
  begin
    execute format('select ' || call, run_id, false) into result;
    result := jsonb_build_object('answer', result - array['forkedWorkflowID', 'stepN'], 'status', app_test.status_of(run_id),
      'ops', (select count(*) from app.artifacts as a where a.step_id = 'OPS') - before,
      'artifact', (select a.kind || ' ' || a.name || ' ' || (a.inline - 'at')::text from app.artifacts as a where a.run_id = tried.run_id and a.step_id = 'OPS' order by a.artifact_id desc limit 1),
      'at', (select abs((a.inline ->> 'at')::bigint - app.epoch_ms(app.now())) < 60000 from app.artifacts as a where a.run_id = tried.run_id and a.step_id = 'OPS' order by a.artifact_id desc limit 1),
      'laws', (select count(*) from app.v_invariants));
    raise exception 'undo';
  exception when raise_exception then
    null;
  end;
  return result;
end $$;

create temp table before as select app_test.everything() as hash;
select is(pg_temp.tried(op, run_id, call) #- '{artifact}',
    jsonb_build_object('answer', jsonb_build_object('accepted', true, 'workflowID', run_id, 'dryRun', false)
        || case when op = 'fork' then '{}' else jsonb_build_object('status', becomes) end,
      'status', coalesce(becomes, status), 'ops', 1, 'at', true, 'laws', 0), format('%s of a run that is %s', op, status))
from combination where status = any (legal) order by op, status;
select ok(jsonb_build_object('op', op, 'actor', 'ann', 'reason', 'because', 'targetWorkflowID', run_id) <@ a.inline and a.inline ? tells,
  format('%s of a run that is %s leaves who, why and what', op, status))
from combination cross join lateral (
  select substring(pg_temp.tried(op, run_id, call) ->> 'artifact' from '\{.*$')::jsonb as inline) as a
where status = any (legal) order by op, status;
select is(app_test.error_of(format('select ' || call, run_id, false)) - array['hint', 'message'],
  jsonb_build_object('sqlstate', 'PT409', 'code', 'illegal_transition', 'status', status), format('no %s of a run that is %s', op, status))
from combination where status <> all (legal) order by op, status;
select is(app_test.everything(), hash, 'refusals, and what is rolled back, write nothing') from before;

select is(app_test.error_of(format('select ' || call, run_id, true)) - array['hint', 'message'],
  jsonb_build_object('sqlstate', 'PT409', 'code', 'illegal_transition', 'status', status), format('no dry run of %s of a run that is %s', op, status))
from combination where status <> all (legal) order by op, status;
create function pg_temp.called(call text, run_id text) returns jsonb language plpgsql as $$
declare
  answer jsonb;
begin
  execute format('select ' || call, run_id, true) into answer;
  return answer;
end $$;
select is((select count(*) from combination where status = any (legal) and pg_temp.called(call, run_id) @> jsonb_build_object('accepted', true, 'dryRun', true, 'workflowID', run_id, case op when 'fork' then 'stepN' else 'status' end, case op when 'fork' then '0' else to_jsonb(status) end)), 14::bigint,
  'a dry run of each legal one is accepted and tells the present status');
select is(app_test.everything(), hash, 'and writes nothing') from before;
select alike(app_test.error_of(format('select app.resume_run(%L, ''ann'', ''because'')', run_id)) ->> 'hint', '%repair_run%fork_run%', 'resume of a failed run names repair and fork')
from made where status = 'ERROR';
select is_empty('select * from app.v_invariants');
rollback;
