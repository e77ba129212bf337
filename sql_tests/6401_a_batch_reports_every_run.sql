-- cancel_batch, resume_batch, repair_batch: a row per run in the order given; what is legal is done and audited, what is not is told and left alone.
begin;
select plan(30);

select app_test.a_run_at('approve-plan', 'waits') as waits \gset
select app_test.a_run('good') as good \gset
select app_test.finish_step(), app_test.finish_step() \g /dev/null
select app_test.a_run('bad') as bad \gset
select app_test.fail_step() \g /dev/null
select app_test.a_run('stopped') as stopped \gset
select app.cancel_run(:'stopped', 'ann', 'early') \g /dev/null
update app.queues set max_recoveries = 0 where queue_name = 'intentQ';
select app_test.a_run('deadly') as deadly \gset
select app_test.work_once() \g /dev/null
select app_test.age_leases('1 hour'), app_test.recover() \g /dev/null
select app_test.a_run('works') as works \gset
select app_test.work_once() \g /dev/null
select app_test.a_run('in line') as enqueued \gset

-- every status in one call, and somebody who does not exist; ids in no order
select jsonb_build_object('runIds', jsonb_build_array(:'works', :'good', 'nobody', :'bad', :'waits', :'deadly', :'enqueued', :'stopped')) as all \gset
create function pg_temp.names(run_id text) returns text language sql as $$ select coalesce((select i.body ->> 'goal' from app.runs as r join app.intents as i using (intent_id) where r.run_id = $1), $1) $$;
create function pg_temp.report(call text) returns text language plpgsql as $$
declare
  said text;
begin
  execute format('select string_agg(concat_ws('' '', pg_temp.names(b.run_id), b.accepted, b.status, b.code), '', '' order by b.ordinality) from %s with ordinality as b', call) into said;
  return said;
end $$;
create temp table action as select op, format('app.%s_batch(%L, ''ann'', ''because''', op, :'all') as call from unnest(array['cancel', 'resume', 'repair']) as op;
create temp table before as select app_test.everything() as hash, (select count(*) from app.artifacts where step_id = 'OPS') as ops;

select is(pg_temp.report(call || ', dry_run => true)'), want, 'dry run of ' || op) from action join (values
  ('cancel', 'works t PENDING, good f SUCCESS illegal_transition, nobody f run_not_found, bad f ERROR illegal_transition, waits t WAITING_INPUT, deadly f MAX_RECOVERY_ATTEMPTS_EXCEEDED illegal_transition, in line t ENQUEUED, stopped f CANCELLED illegal_transition'),
  ('resume', 'works f PENDING illegal_transition, good f SUCCESS illegal_transition, nobody f run_not_found, bad f ERROR illegal_transition, waits f WAITING_INPUT illegal_transition, deadly t MAX_RECOVERY_ATTEMPTS_EXCEEDED, in line t ENQUEUED, stopped t CANCELLED'),
  ('repair', 'works f PENDING illegal_transition, good f SUCCESS illegal_transition, nobody f run_not_found, bad t ERROR, waits f WAITING_INPUT illegal_transition, deadly f MAX_RECOVERY_ATTEMPTS_EXCEEDED illegal_transition, in line f ENQUEUED illegal_transition, stopped f CANCELLED illegal_transition')) as w (op, want) using (op);
select is(app_test.everything(), hash, 'a dry run writes nothing') from before;

-- what the batch says is what the single call says
create temp table single as select op, e.value as run_id, app_test.error_of(format('select app.%s_run(%L, ''ann'', ''because'', true)', op, e.value)) as refused
from unnest(array['cancel', 'resume', 'repair']) as op cross join jsonb_array_elements_text(:'all'::jsonb -> 'runIds') as e;
select is_empty(format($$select * from app.%s_batch(%L, 'ann', 'because', true) as b join single as s on s.run_id = b.run_id and s.op = %1$L
  where (b.accepted, b.code, b.message) is distinct from (s.refused is null, s.refused ->> 'code', s.refused ->> 'message')$$, op, :'all'), op || ': batch and single call judge alike') from action;

-- all refused
select bag_eq(format($$select accepted, code from app.repair_batch('{"runIds": ["%s", "%s", "nobody"]}', 'ann', 'because')$$, :'good', :'works'), $$values (false, 'illegal_transition'), (false, 'illegal_transition'), (false, 'run_not_found')$$, 'all refused');
select is(app_test.everything(), hash, 'a batch of which all is refused writes nothing at all') from before;

-- done
select is(pg_temp.report(call || ')'), 'works f PENDING illegal_transition, good f SUCCESS illegal_transition, nobody f run_not_found, bad f ERROR illegal_transition, waits f WAITING_INPUT illegal_transition, deadly t ENQUEUED, in line t ENQUEUED, stopped t ENQUEUED', 'resumed, each with its new status') from action where op = 'resume';
select is((select array_agg(app_test.status_of(r) order by r) from unnest(array[:'works', :'good', :'bad', :'waits']) as r), (select array_agg(v.s order by v.r) from (values (:'works', 'PENDING'), (:'good', 'SUCCESS'), (:'bad', 'ERROR'), (:'waits', 'WAITING_INPUT')) as v (r, s)), 'the others are what they were');
select is((select array_agg(reopened_at) from app.runs where run_id = :'enqueued'), array[null::timestamptz], 'one that is in line already is only audited');
select bag_eq($$select pg_temp.names(run_id), inline - 'at' - 'targetWorkflowID' from app.artifacts where step_id = 'OPS' and inline ->> 'op' = 'resume' and inline ->> 'targetWorkflowID' = run_id$$,
  $$values ('deadly', '{"op": "resume", "actor": "ann", "reason": "because", "from": "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}'::jsonb), ('in line', '{"op": "resume", "actor": "ann", "reason": "because", "from": "ENQUEUED"}'::jsonb), ('stopped', '{"op": "resume", "actor": "ann", "reason": "because", "from": "CANCELLED"}'::jsonb)$$, 'each is audited, and only those');
select is(pg_temp.report(call || ')'), 'works f PENDING illegal_transition, good f SUCCESS illegal_transition, nobody f run_not_found, bad t ENQUEUED, waits f WAITING_INPUT illegal_transition, deadly f ENQUEUED illegal_transition, in line f ENQUEUED illegal_transition, stopped f ENQUEUED illegal_transition', 'repaired') from action where op = 'repair';
select is((select inline #>> '{error,code}' from app.artifacts where run_id = :'bad' and step_id = 'OPS'), 'broken', 'the artifact keeps the error');
select is_empty('select * from app.v_invariants', 'every law is kept');
select is(pg_temp.report(call || ')'), 'works t CANCELLED, good f SUCCESS illegal_transition, nobody f run_not_found, bad t CANCELLED, waits t CANCELLED, deadly t CANCELLED, in line t CANCELLED, stopped t CANCELLED', 'cancelled') from action where op = 'cancel';
select is((select count(*) from app.artifacts where step_id = 'OPS') - ops, 3 + 1 + 6::bigint, 'an artifact for each that was done') from before;
select is((select array_agg(message) from app.cancel_batch(jsonb_build_object('runIds', jsonb_build_array(:'good')), 'ann', 'x')), array[format('run %s is SUCCESS', :'good')], 'the message is that of the single call');

-- a run that is named twice is one run, at its first place
select is(pg_temp.report(format('app.resume_batch(%L, ''ann'', ''x'')', jsonb_build_object('runIds', jsonb_build_array(:'bad', :'deadly', :'bad')))), 'bad t ENQUEUED, deadly t ENQUEUED', 'one row for a run that is named twice');

-- bad arguments
create temp table still as select app_test.everything() as hash;
create temp table bad (arguments text, paths text);
insert into bad values
  ('null, null, null', 'actor, reason, selection'),
  ('''{}'', ''ann'', ''x''', 'selection'),
  ('''{"runIds": ["a"], "filter": {}}'', '' '', ''x''', 'actor, selection'),
  ('''{"runIds": null, "filter": null}'', ''ann'', ''x''', 'selection'),
  ('''{"runIds": [], "more": 1}'', ''ann'', ''x''', 'selection.more, selection.runIds'),
  ('''{"runIds": ["", 1, null, "a"]}'', ''ann'', ''x''', 'selection.runIds[0], selection.runIds[1], selection.runIds[2]'),
  ('''{"filter": {"status": "FAILED", "name": 1, "limit": 1001, "olderThanMS": -1, "recipe": "r"}}'', ''ann'', ''x''', 'selection.filter.limit, selection.filter.name, selection.filter.olderThanMS, selection.filter.recipe, selection.filter.status'),
  (format('%L, ''ann'', ''x''', jsonb_build_object('runIds', (select jsonb_agg('r' || n) from generate_series(1, 1001) as n))), 'selection.runIds');
select is((select array_agg(distinct app_test.faults_of(format('select * from app.%s_batch(%s)', op, arguments))) from action), array[paths], left(arguments, 60)) from bad;
select is(app_test.everything(), hash, 'nothing was written') from still;
select is_empty('select * from app.v_invariants');
rollback;
