-- Two workers that look after the queues in the same microsecond note one sample; neither call fails.
begin;
select plan(3);

create function pg_temp.stop_the_clock() returns trigger language plpgsql as $$ begin new.at := now() - interval '2 minutes'; return new; end $$;
create trigger a_moment before insert on app.queue_samples for each row execute function pg_temp.stop_the_clock();
select app_test.a_recipe('plain', '[{}]'), app_test.a_run('first', 'plain'), app_test.a_run('second', 'plain') \g /dev/null
select app_test.work_once('w1', n => 1), app.recover() \g /dev/null
select app_test.work_once('w1', n => 1) \g /dev/null
select lives_ok('select app.sample_queues()', 'the second of a moment');
select is((select count(*) from app.queue_samples where queue_name = 'intentQ'), 1::bigint, 'one sample');
select is_empty('select * from app.v_invariants');
rollback;
