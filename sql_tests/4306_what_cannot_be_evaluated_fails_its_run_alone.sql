-- A condition or a map that Postgres cannot evaluate, and a timer that cannot fire, end their own run and keep no other waiting.
begin;
select plan(9);

create function pg_temp.outcome(run_id text) returns text language sql as $$
  select concat_ws(' ', h ->> 'status', h #>> '{error,stepID}', h #>> '{error,code}') from app.get_run(run_id) as h $$;
-- these are jsonpaths, and silent mode does not silence them
select app_test.a_recipe('when', '[{}, {"sleep": {"ms": 1000}}, {"when": "$.outputs.S0.a.datetime() < $.outputs.S0.b.datetime()"}]'),
  app_test.a_recipe('first', '[{"when": "$.intent.goal.datetime(\"@\") == 1"}, {}]'), app_test.a_recipe('map', '[{}, {"map": {"over": "$.outputs.S0.x * 1e300", "queue": "sbxQ", "handler": "t/m"}}, {}]'),
  app_test.a_recipe('nap', '[{"sleep": {"ms": 1000}}, {}]') \g /dev/null
select is(pg_temp.outcome(app_test.a_run('first', 'first')), 'ERROR S0 bad_condition', 'the first step of a run: it starts, and fails');
select app_test.a_run('when', 'when') as when, app_test.a_run('map', 'map') as map, app_test.a_run('good') as good \gset
select app.work('w1', (select jsonb_agg(app_test.done(w) || jsonb_build_object('output', '{"a": "2026-01-01", "b": "2026-01-01T00:00:00+00:00", "x": 1e300}'::jsonb)) from app_test.work_once('w1', n => 3) as w), '{"drain": true}') \g /dev/null
select is(pg_temp.outcome(:'map'), 'ERROR S1 bad_map', 'a map that finds what has no name');
select is((select string_agg(step_id || ' ' || status, ', ' order by idx) from app.run_steps where run_id = :'good'), 'S0 SUCCESS, S1 ENQUEUED', 'a result of the same call went on');
select app_test.a_run('nap', 'nap') as nap, app_test.a_run('broken nap', 'nap') as broken \gset
create function pg_temp.refuse() returns trigger language plpgsql as $$ begin raise 'it is broken'; end $$;
select format('create trigger broken before insert on app.artifacts for each row when (new.run_id = %L) execute function pg_temp.refuse()', :'broken') \gexec
select app.advance('2 seconds'), app.recover() \g /dev/null
select is(pg_temp.outcome(:'when'), 'ERROR S2 bad_condition', 'a condition behind a sleep');
select is(pg_temp.outcome(:'broken'), 'ERROR timer_failed', 'a timer that cannot fire');
select is((select string_agg(step_id || ' ' || status, ', ' order by idx) from app.run_steps where run_id = :'nap'), 'S0 SUCCESS, S1 ENQUEUED', 'and the sleep beside them woke');
select matches(app.get_run(:'when') #>> '{error,message}', '^S2: its condition cannot be evaluated: .*time zone', 'the message says why');
select is((select count(*) from app.timers where fired_at is null and closed_at is null), 0::bigint, 'nothing is due');
select is_empty('select * from app.v_invariants');
rollback;
