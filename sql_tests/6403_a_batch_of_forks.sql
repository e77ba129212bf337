-- fork_batch: a fork for each run that allows it; forks of one root count on, in a dry run, too; version and inputs are those of the call.
begin;
select plan(15);

select app_test.a_run_at('DecideST', 'far') as far \gset
select app_test.a_run('near', 'four') as near, app_test.a_run('plain') as plain \gset
select app.fork_run(:'far', 1, 'ann', 'x') ->> 'forkedWorkflowID' as f1 \gset
select jsonb_build_object('runIds', jsonb_build_array(:'near', :'far', 'nobody', :'f1', :'plain')) as some \gset
create temp table wanted (n integer, run_id text, accepted boolean, status text, code text, forked text);
insert into wanted values (1, :'near', false, 'ENQUEUED', 'fork_needs_finished_steps', null), (2, :'far', true, 'PENDING', null, :'far' || '-f2'), (3, 'nobody', false, null, 'run_not_found', null),
  (4, :'f1', true, 'ENQUEUED', null, :'far' || '-f3'), (5, :'plain', false, 'ENQUEUED', 'fork_out_of_range', null);
create temp table before as select app_test.everything() as hash;

-- at step 1: f1 has the first one cached
select results_eq(format('select run_id, accepted, status, code, forked_run_id from app.fork_batch(%L, 1, ''ann'', ''because'', dry_run => true) where run_id <> %L', :'some', :'plain'),
  format('select run_id, accepted, status, code, forked from wanted where run_id <> %L order by n', :'plain'), 'a dry run says what would be: forks of one root count on');
select results_eq(format('select run_id, code, message from app.fork_batch(%L, 3, ''ann'', ''because'', dry_run => true) where run_id = %L', :'some', :'plain'),
  format('values (%L, ''fork_out_of_range'', ''step 3 is beyond the last step 1 of run %1$s'')', :'plain'), 'beyond the last step');
select is(app_test.everything(), hash, 'it writes nothing') from before;
select is((select array_agg(code) from app.fork_batch(jsonb_build_object('runIds', jsonb_build_array(:'near', :'plain')), 4, 'ann', 'x')), array['fork_out_of_range', 'fork_out_of_range'], 'all refused');
select is(app_test.everything(), hash, 'and nothing written') from before;

create temp table done as select * from app.fork_batch(:'some', 1, 'ann', 'because', 'v9', '{"a": 1}') with ordinality;
select results_eq($$select run_id, accepted, forked_run_id from done where run_id not in (select run_id from wanted where n = 5) order by ordinality$$, $$select run_id, accepted, forked from wanted where n < 5 order by n$$, 'done as promised');
select is((select status from done where run_id = :'far'), 'PENDING', 'status is that of the source, which stays as it is');
select is((select array_agg(row(forked_from, root_id, fork_step, app_version)::text order by run_id) from app.runs where run_id in (:'far' || '-f2', :'far' || '-f3')), array[format('(%s,%1$s,1,v9)', :'far'), format('(%s,%s,1,v9)', :'f1', :'far')], 'each of its source, in the version asked for');
select is((select array_agg(distinct i.body -> 'inputs') from app.runs as r join app.intents as i using (intent_id) where r.app_version = 'v9'), array['{"a": 1}'::jsonb], 'with the patched inputs');
select is((select array_agg(inline ->> 'forkedWorkflowID' order by 1) from app.artifacts where step_id = 'OPS' and inline ->> 'reason' = 'because'), array[:'far' || '-f2', :'far' || '-f3'], 'audited at the sources');
select is((select cached_from from app.run_steps where run_id = :'far' || '-f3' and idx = 0), :'far', 'reused steps name where they ran');

-- the same run twice in one list is forked once; bad arguments
select is((select count(*) from app.fork_batch(jsonb_build_object('runIds', jsonb_build_array(:'plain', :'plain')), 0, 'ann', 'x')), 1::bigint, 'a run named twice is forked once');
select is(app_test.faults_of($$select * from app.fork_batch(null, null, null, null, ' ', '[]')$$), 'actor, app_version, inputs, reason, selection, step_n', 'every fault is named');
select is(app_test.faults_of($$select * from app.fork_batch('{"filter": {"limit": 0}}', -1, 'ann', 'x')$$), 'selection.filter.limit, step_n', 'those of the selection, too');
select is_empty('select * from app.v_invariants');
rollback;
