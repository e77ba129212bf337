-- While a snapshot is held, claims go on where they had come to; what lies before that is found when a look from the front is due again.
begin;
select plan(15);

select app_test.a_recipe(), app_test.a_worker() \g /dev/null
create temp table r as select n, app_test.a_run('run ' || n, 'plain', jsonb_build_object('queuePartitionKey', case when n % 2 = 0 then 'even' else 'odd' end, 'priority', 5)) as run_id
from generate_series(1, 8) as n;
create function pg_temp.claimed(n integer) returns text language sql as
  $$ select string_agg(r.n::text, ' ' order by r.n) from app.claim('w1', '0.1.0', 'intentQ', $1, false) as c join r using (run_id) $$;
create function pg_temp.kept() returns jsonb language sql as $$ select nullif(current_setting('sisu.fronts_intentq', true), '')::jsonb -> 'fronts' $$;

select is(app.may_look('line_intentQ'), true, 'a look is due');
select is(pg_temp.claimed(2), '1 2', 'the first of each partition');
select is(pg_temp.kept(), null, 'nothing is kept while looks are cheap');

-- as after a look that walked past ten million entries
select app.looked('line_intentQ', 10000000) \g /dev/null
select is(app.may_look('line_intentQ'), false, 'after a dear look none is due');
select is(app.fronts('intentQ', '0.1.0'), null, 'but nothing is known yet: from the front');
select set_config('sisu.again_line_intentq', '', false) \g /dev/null
select app.keep_fronts('intentQ', '0.1.0', null, array['even', 'odd'],
  array(select s from app.run_steps as s join r using (run_id) where r.n in (3, 4)), 10000000) \g /dev/null
select is(app.fronts('intentQ', '0.1.0') -> 'odd' -> 0, '5'::jsonb, 'the place of the last that was picked');
select is(app.fronts('intentQ', '0.2.0'), null, 'another version begins at the front');
select is(pg_temp.claimed(2), '3 4', 'goes on there');
insert into r select 9, app_test.a_run('urgent', 'plain', '{"queuePartitionKey": "odd", "priority": 0}');
insert into r select 10, app_test.a_run('elsewhere', 'plain', '{"queuePartitionKey": "new", "priority": 5}');
insert into r select 11, app_test.a_run('behind', 'plain', '{"queuePartitionKey": "odd", "priority": 5}');
select is(pg_temp.claimed(20), '5 6 7 8 11', 'finds what comes behind, not what comes before or elsewhere');
select is(pg_temp.claimed(20), null, 'nor any more in an empty line');
select is(pg_temp.kept() ->> 'even', (select jsonb_build_array(5, x.queue_seq)::text from app.runs as x join r using (run_id) where r.n = 8), 'the front has moved on');
select set_config('sisu.again_line_intentq', (clock_timestamp() - interval '1 s')::text, false) \g /dev/null
select is(pg_temp.claimed(20), '9 10', 'until a look from the front is due');
select is(pg_temp.kept(), null, 'which was cheap: nothing is kept any more');

select ok(app.entries_read('app.backlog_in_line') > 0, 'entries are counted');
select is_empty('select * from app.v_invariants');
rollback;
