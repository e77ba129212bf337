-- An approval that says what was shown counts for that alone: a changed plan makes it stale.
begin;
select plan(12);

select app_test.a_recipe('r', '[{"stepId": "Plan"}, {"stepId": "Do", "gate": {"key": "approve-plan", "shows": ["Plan"]}}]') \g /dev/null
create function pg_temp.plan_made(plan text) returns void language sql as $$
  select app_test.finish_step(jsonb_build_object('artifacts', jsonb_build_array(jsonb_build_object('kind', 'plan_card', 'name', 'plan.json', 'inline', plan)))) $$;
create function pg_temp.shown(run_id text) returns text language sql as $$ select app.list_gates(run_id) -> 0 ->> 'shownSha256' $$;
select app_test.a_run('g', 'r') as run_id \gset
select pg_temp.plan_made('first') \g /dev/null
select pg_temp.shown(:'run_id') as shown \gset
select matches(:'shown'::text, '^[0-9a-f]{64}$', 'the gate says what it shows');
select alike((select answer_with from app.v_gates_open), '%shown_sha256 => ''' || :'shown' || ''')', 'and so does the call that answers it');
select is(app_test.error_of(format('select app.approve_plan(%L, ''ann'', shown_sha256 => %L)', :'run_id', repeat('0', 64))) - array['hint', 'message'],
  jsonb_build_object('sqlstate', 'PT409', 'code', 'stale_approval', 'drift', jsonb_build_array(jsonb_build_object('field', 'shownSha256', 'existing', :'shown', 'incoming', repeat('0', 64)))), 'what was not shown cannot be approved');
select app.approve_plan(:'run_id', 'ann', shown_sha256 => :'shown') \g /dev/null
select is(app_test.status_of(:'run_id'), 'PENDING', 'what was shown can');

-- what was said ahead of time counts only for what it was said of
select app_test.finish_step(), app_test.a_run('same', 'r') as same \gset
select app.approve_plan(:'same', 'ann', shown_sha256 => :'shown'), pg_temp.plan_made('first') \g /dev/null
select is(app_test.status_of(:'same'), 'PENDING', 'the plan is the one: honoured');
select app_test.finish_step(), app_test.a_run('changed', 'r') as changed \gset
select app.approve_plan(:'changed', 'ann', shown_sha256 => :'shown'), pg_temp.plan_made('second') \g /dev/null
select is(app_test.status_of(:'changed'), 'WAITING_INPUT', 'another plan: asked again');
select is((select round || ' ' || status from app.gates where run_id = :'changed'), '1 OPEN', 'still in the first round');
select isnt(pg_temp.shown(:'changed'), :'shown'::text, 'with the new plan shown');
select is((app.approve_plan(:'changed', 'ann', dedupe_key => 'again') ->> 'isReplay')::boolean, false, 'and can be approved');

-- a plan that changes while the gate is open
select app_test.a_run('open', 'r', '{"priority": 0}') as open \gset
select pg_temp.plan_made('third') \g /dev/null
select pg_temp.shown(:'open') as third \gset
update app.artifacts set sha256 = repeat('a', 64) where run_id = :'open' and kind = 'plan_card';
select is(app_test.error_of(format('select app.approve_plan(%L, ''ann'', shown_sha256 => %L)', :'open', :'third')) ->> 'code', 'stale_approval', 'what changed since it was shown is stale');
select is(app_test.faults_of($$select app.put_recipe('{"name": "x", "steps": [{"stepId": "A", "handler": "h", "gate": {"key": "g", "shows": ["A", "B"]}}]}')$$), 'steps[0].gate.shows[0], steps[0].gate.shows[1]', 'a gate shows earlier steps only');
select is_empty('select * from app.v_invariants');
rollback;
