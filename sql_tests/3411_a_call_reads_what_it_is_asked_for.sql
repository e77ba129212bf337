-- What a call reads follows what it is asked for, not what the tables hold: no cached plan walks a whole table or index.
begin;
select plan(13);
select app_test.without_statistics() \g /dev/null

select app_test.a_recipe(), app_test.a_recipe('gated', '[{"gate": {"key": "first"}}, {}]'), app_test.a_recipe('graph', '[{}, {"needs": ["S0"]}, {"needs": ["S0"]}, {"needs": ["S1", "S2"]}]') \g /dev/null
create function pg_temp.starts(label text, n integer, recipe text default 'plain') returns bigint language sql as $$
  select count(app.start_runs(b.batch)) from (
    select jsonb_agg(jsonb_build_object('recipeName', recipe, 'timeoutMS', case recipe when 'gated' then 1000 end, 'intent', jsonb_build_object('goal', concat(recipe, label, i), 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb))) as batch
    from generate_series(1, n) as i group by i / 100) as b $$;
create function pg_temp.steps(n integer) returns bigint language plpgsql as $$
declare
  lanes jsonb := (select jsonb_agg(app_test.done(w)) from app_test.work_once('w1', n => n) as w);
begin
  return (select count(*) from app.work('w1', lanes, '{"queues": {"intentQ": 100}}'));
end $$;
create function pg_temp.again(goal text, lane text) returns text language sql as $$
  select app_test.error_of(format('select app.start_run(%L, %L)', app_test.an_intent(goal), jsonb_build_object('recipeName', 'plain', 'lane', lane))) $$;
create function pg_temp.reply(goal text) returns jsonb language sql as $$
  select app.reply_gate(app_test.an_intent(goal), 'first', '{"decision": "yes"}', 'd', 'ann') $$;

select pg_temp.starts('first ', 200), pg_temp.steps(100) \g /dev/null
select app_test.reads_of($$select pg_temp.starts('few ', 100)$$) as starts_few, app_test.reads_of('select pg_temp.steps(100)') as steps_few,
  app_test.reads_of($$select pg_temp.again('plainfew 1', 'interactive')$$) as replay_few, app_test.reads_of($$select pg_temp.again('plainfew 1', 'batch')$$) as drift_few \gset
select pg_temp.starts('many ', 10000) \g /dev/null
select app_test.reads_of($$select pg_temp.starts('one ', 100)$$) as starts_many, app_test.reads_of('select pg_temp.steps(100)') as steps_many,
  app_test.reads_of($$select pg_temp.again('plainone 1', 'interactive')$$) as replay_many, app_test.reads_of($$select pg_temp.again('plainone 1', 'batch')$$) as drift_many \gset
select ok(:starts_few > 100 and :steps_few > 100, 'reads are counted');
select ok(:starts_many - :starts_few < 1000, format('a hundred starts read %s entries, %s when ten thousand more runs are there', :starts_few, :starts_many));
-- what this very transaction took from the line stays in its index until vacuum comes, hence the margin
select ok(:steps_many - :steps_few < 5000, format('a claim and a commit of a hundred steps read %s, then %s', :steps_few, :steps_many));
select ok(:replay_many - :replay_few < 100, format('a replay of a start reads %s, then %s', :replay_few, :replay_many));
select ok(:drift_many - :drift_few < 100, format('a start with other arguments reads %s, then %s', :drift_few, :drift_many));

select app_test.a_recipe('asleep', '[{"sleep": {"ms": 3600000}}]'), pg_temp.starts('', 3000, 'asleep') \g /dev/null
analyze app.timers;
select app.recover() from generate_series(1, 6) \g /dev/null
select app_test.reads_of('select app.recover()') as asleep \gset
select ok(:asleep < 500, format('three thousand timers that are not due: a glance reads %s', :asleep));

select pg_temp.starts('first ', 100, 'gated') \g /dev/null
select app_test.reads_of($$select pg_temp.starts('few ', 100, 'gated')$$) as starts_few, app_test.reads_of($$select pg_temp.reply('gatedfew 1')$$) as reply_few,
  app_test.reads_of($$select app.cancel_run(app_test.an_intent('gatedfew 2'), 'ann', 'x')$$) as cancel_few,
  app_test.reads_of($$select app.explain_run(app_test.an_intent('gatedfew 3'))$$) as explain_few \gset
select pg_temp.starts('many ', 2000, 'gated') \g /dev/null
select app_test.reads_of($$select pg_temp.starts('one ', 100, 'gated')$$) as starts_many, app_test.reads_of($$select pg_temp.reply('gatedone 1')$$) as reply_many,
  app_test.reads_of($$select app.cancel_run(app_test.an_intent('gatedone 2'), 'ann', 'x')$$) as cancel_many,
  app_test.reads_of($$select app.explain_run(app_test.an_intent('gatedone 3'))$$) as explain_many \gset
select ok(:starts_many - :starts_few < 1000, format('a hundred runs that wait at a gate read %s entries, then %s', :starts_few, :starts_many));
select ok(:reply_many - :reply_few < 100, format('a reply reads %s, then %s', :reply_few, :reply_many));
select ok(:cancel_many - :cancel_few < 100, format('a cancel reads %s, then %s', :cancel_few, :cancel_many));
select ok(:explain_many - :explain_few < 100, format('what a run waits for is told after %s, then %s', :explain_few, :explain_many));
select app.advance('1 second') \g /dev/null
select app_test.reads_of('select app.recover()') as fire_many \gset
select ok(:fire_many < 20000, format('a hundred of two thousand timers fire with %s', :fire_many));

-- no figure but a brake: a start that compares every run of the call with every other takes minutes here
set local statement_timeout = '30s';
select lives_ok($$select app.start_runs((
  select jsonb_agg(jsonb_build_object('recipeName', 'graph', 'intent', jsonb_build_object('goal', concat('g', i), 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb)))
  from generate_series(1, 1000) as i))$$, 'a thousand graphs start in one call');
set local statement_timeout = 0;
select is_empty('select * from app.v_invariants');
rollback;
