-- A tick that is refused is written down with its reason, the schedule and everybody else go on; a passing failure leaves it due.
begin;
select plan(32);

select app_test.clock_to('2032-01-01 00:30Z'), app_test.a_recipe('retiring'), app_test.a_recipe('gone') \g /dev/null
select app_test.a_schedule('bad', '@hourly', '{"catchUp": "all", "options": {"recipeName": "retiring", "recipeVersion": 1}}'), app_test.a_schedule('good', '@hourly'), app_test.a_run('another') as another \gset
select app_test.a_recipe('retiring', '[{}]'), app_test.clock_to('2032-01-01 01:00Z') \g /dev/null
create temp table lane as select * from app_test.work_once();
create temp table answer as select w.* from lane, app.work('w1', jsonb_build_array(app_test.done(lane)), '{"recover": true, "queues": {"intentQ": 5}}') as w;
select is((select array_agg(outcome order by outcome) from answer), array['assigned', 'continued'], 'the call that fires it commits and claims as ever');
select is((select step_id from app.run_steps where run_id = :'another' and status = 'SUCCESS'), 'S0', 'the result is in');
select is((select string_agg(name || ' ' || outcome, ', ' order by name) from app.schedule_ticks), 'bad refused, good started', 'one is refused, the other one starts');
select is(error, '{"code": "recipe_not_active", "message": "recipe retiring is not active", "sqlstate": "PT409"}', 'the tick says why') from app.schedule_ticks where name = 'bad';
select is((run_id, first_tick_at)::text, '(,)', 'it has no run') from app.schedule_ticks where name = 'bad';
select is(last_error, '{"code": "recipe_not_active", "message": "recipe retiring is not active", "sqlstate": "PT409", "tickAt": "2032-01-01T01:00:00Z"}', 'so does the schedule') from app.schedules where name = 'bad';
select is((health, last_outcome, next_at)::text, '(refused,refused,"2032-01-01 02:00:00+00")', 'which goes on') from app.v_schedules where name = 'bad';
select is((select count(*) from app.intents where body #>> '{inputs,scheduledTick,schedule}' = 'bad'), 0::bigint, 'nothing else of the tick was left');
create temp table before as select app_test.everything() as hash;
select app_test.recover('w1') \g /dev/null
select is(app_test.everything(), hash, 'it is refused once') from before;

-- the partition law changes
select app.set_queue_partitioning(true), app_test.clock_to('2032-01-01 02:00Z'), app_test.recover() \g /dev/null
select is((select string_agg(name || ' ' || (error ->> 'code'), ', ' order by name) from app.schedule_ticks where tick_at = '2032-01-01 02:00Z'), 'bad queue_policy_violation, good queue_policy_violation', 'a policy refuses both');
select app.set_queue_partitioning(false), app_test.clock_to('2032-01-01 03:00Z'), app_test.recover() \g /dev/null
select is((health, last_error)::text, '(ok,)', 'what works again is well again') from app.v_schedules where name = 'good';
select is((health, last_error ->> 'tickAt')::text, '(refused,2032-01-01T03:00:00Z)', 'the other tells its last') from app.v_schedules where name = 'bad';

-- refusals are caught up no less than starts
select app_test.clock_to('2032-01-02 00:30Z'), app_test.recover(), app_test.recover(), app_test.recover() \g /dev/null
select is((select count(*) from app.schedule_ticks where name = 'bad' and outcome = 'refused'), 24::bigint, 'every missed tick was tried');
select is((select count(*) from app.schedule_ticks where name = 'bad' and outcome <> 'refused'), 0::bigint, 'and refused');
select app_test.a_schedule('bad', '@hourly', '{"options": {"recipeName": "retiring"}}') \g /dev/null
select is((health, last_error)::text, '(ok,)', 'put anew it is well') from app.v_schedules where name = 'bad';
select app_test.clock_to('2032-01-02 01:00Z'), app_test.recover() \g /dev/null
select is((select outcome from app.schedule_ticks where name = 'bad' and tick_at = '2032-01-02 01:00Z'), 'started', 'and starts');

-- a run of the same intent that somebody started otherwise
select app.create_intent('{"goal": "g", "inputs": {"n": 1, "scheduledTick": {"schedule": "good", "at": "2032-01-02T02:00:00Z"}}, "constraints": {}}') ->> 'intentId' as id \gset
select app.start_run(:'id', '{"recipeName": "plain", "lane": "batch"}'), app_test.clock_to('2032-01-02 02:00Z'), app_test.recover() \g /dev/null
select is((select error ->> 'code' from app.schedule_ticks where name = 'good' and tick_at = '2032-01-02 02:00Z'), 'drift', 'drift is a refusal');

-- whatever else the database says
create function pg_temp.say() returns trigger language plpgsql as $$
begin
  raise exception using errcode = tg_argv[0], message = 'said so';
end $$;
create trigger refused before insert on app.runs for each row when (new.started_by = 'schedule/good') execute function pg_temp.say('23514');
select app_test.clock_to('2032-01-02 03:00Z'), app_test.recover() \g /dev/null
select is((select error from app.schedule_ticks where name = 'good' and tick_at = '2032-01-02 03:00Z'), '{"code": "internal_error", "message": "said so", "sqlstate": "23514"}', 'any error is a refusal');
select is((select outcome from app.schedule_ticks where name = 'bad' and tick_at = '2032-01-02 03:00Z'), 'started', 'of that schedule alone');
drop trigger refused on app.runs;

create temp table passing (n integer, state text);
insert into passing select ordinality, state from unnest(array['40001', '40P01', '55P03', '53100', '57014', '58030']) with ordinality as u (state, ordinality) where state <> '57014';
create function pg_temp.passes(state text) returns text language plpgsql as $$
begin
  execute format('create trigger refused before insert on app.runs for each row when (new.started_by = ''schedule/good'') execute function pg_temp.say(%L)', state);
  perform app_test.recover();
  drop trigger refused on app.runs;
  return (select s.next_at || ' ' || coalesce(s.owed_until >= s.next_at, false) || ' ' || count(e) from app.schedules as s left join app.schedule_ticks as e on e.name = s.name and e.tick_at = s.next_at where s.name = 'good' group by s.name);
end $$;
select app_test.clock_to('2032-01-02 04:00Z') \g /dev/null
select is(pg_temp.passes(state), '2032-01-02 04:00:00+00 true 0', state || ' leaves the tick due') from passing;
select is((select outcome from app.schedule_ticks where name = 'bad' and tick_at = '2032-01-02 04:00Z'), 'started', 'the other one started meanwhile');
select app_test.clock_to('2032-01-02 04:30Z') \g /dev/null
select is(health, 'overdue', 'which shows, after a minute') from app.v_schedules where name = 'good';
select app_test.recover() \g /dev/null
select is((select outcome from app.schedule_ticks where name = 'good' and tick_at = '2032-01-02 04:00Z'), 'started', 'it starts when it can: that was decided in time');
select is((select count(*) from app.schedule_ticks where tick_at = '2032-01-02 04:00Z'), 2::bigint, 'once');

-- no tick is left
select app_test.a_schedule('leap', '0 0 29 2 */7'), app_test.clock_to('2032-02-29 00:00Z'), app_test.recover() \g /dev/null
select is((select outcome from app.schedule_ticks where name = 'leap'), 'started', 'a leap day that is a Sunday');
select is((health, next_at, ticks_after)::text, '(over,,{})', 'the next is 28 years away') from app.v_schedules where name = 'leap';
select app_test.clock_to('2032-03-29 00:00Z'), app_test.recover() \g /dev/null
select is((select count(*) from app.schedule_ticks where name = 'leap'), 1::bigint, 'it rests');
select is_empty('select * from app.v_invariants');
rollback;
