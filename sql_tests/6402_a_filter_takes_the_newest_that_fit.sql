-- The filter of a selection: every field narrows it, without a status it takes those the action is for, and it stops at its limit.
begin;
select plan(20);

select app_test.a_recipe('other', '[{}]'), app_test.a_recipe('tasks', '[{}]', '{"queue": "sbxQ"}') \g /dev/null
create temp table made (name text primary key, run_id text);
insert into made values ('bad', app_test.a_run('bad'));
select app_test.fail_step('infra'), app.advance('10 minutes') \g /dev/null
insert into made values ('worse', app_test.a_run('worse'));
select app_test.fail_step('code'), app.advance('1 hour') \g /dev/null
insert into made values ('other', app_test.a_run('other', 'other', '{"queuePartitionKey": "p"}'));
select app.advance('1 minute') \g /dev/null
insert into made values ('tasks', app_test.a_run('tasks', 'tasks'));
select app.advance('1 minute') \g /dev/null
insert into made values ('plain', app_test.a_run('plain', options => '{"queuePartitionKey": "p"}'));
select app.advance('1 minute') \g /dev/null
insert into made values ('stopped', app_test.a_run('stopped'));
select app.cancel_run(run_id, 'ann', 'x') from made where name = 'stopped' \g /dev/null

create function pg_temp.taken(op text, filter jsonb) returns text language plpgsql as $$
declare
  said text;
begin
  execute format('select string_agg(m.name || case when b.accepted then '''' else ''!'' end, '' '' order by b.ordinality)
    from app.%s_batch(%L, %s ''ann'', ''x'', dry_run => true) with ordinality as b join made as m using (run_id)', op, jsonb_build_object('filter', filter), case op when 'fork' then '0,' else '' end) into said;
  return coalesce(said, '-');
end $$;
create temp table before as select app_test.everything() as hash;

select is(pg_temp.taken('cancel', '{}'), 'plain tasks other', 'cancel takes what is not over, newest first');
select is(pg_temp.taken('resume', '{}'), 'stopped', 'resume what was stopped');
select is(pg_temp.taken('repair', '{}'), 'worse bad', 'repair what failed');
select is(pg_temp.taken('fork', '{}'), 'stopped plain tasks other worse bad', 'fork all');
select is(pg_temp.taken('cancel', '{"status": "ERROR"}'), 'worse! bad!', 'a status that is named is taken, and refused');
select is(pg_temp.taken('resume', '{"status": "ENQUEUED"}'), 'plain tasks other', 'or allowed');
select is(pg_temp.taken('cancel', '{"name": "other"}'), 'other', 'recipe');
select is(pg_temp.taken('cancel', '{"name": "nothing"}'), '-', 'no such recipe');
select is(pg_temp.taken('cancel', '{"queue": "sbxQ"}'), 'tasks', 'queue');
select is(pg_temp.taken('cancel', '{"partition": "p"}'), 'plain other', 'partition');
select is(pg_temp.taken('cancel', '{"partition": ""}'), 'tasks', 'no partition');
select is(pg_temp.taken('repair', '{"errorCode": "infra"}'), 'bad', 'error code');
select is(pg_temp.taken('repair', '{"olderThanMS": 4200000}'), 'bad', 'older than');
select is(pg_temp.taken('repair', '{"newerThanMS": 4200000}'), 'worse', 'newer than');
select is(pg_temp.taken('fork', '{"olderThanMS": 150000, "newerThanMS": 4200000}'), 'other worse', 'between');
select is(pg_temp.taken('fork', '{"limit": 2}'), 'stopped plain', 'limit');
select is(pg_temp.taken('cancel', '{"status": null, "name": null, "limit": null, "partition": "p", "olderThanMS": 150000}'), 'other', 'null is not given; together they narrow it');
select is(app_test.everything(), hash, 'nothing was written') from before;
select is((select string_agg(m.name || ' ' || b.status, ', ' order by m.name) from app.cancel_batch('{"filter": {"partition": "p"}}', 'ann', 'x') as b join made as m using (run_id)), 'other CANCELLED, plain CANCELLED', 'and for good');
select is_empty('select * from app.v_invariants');
rollback;
