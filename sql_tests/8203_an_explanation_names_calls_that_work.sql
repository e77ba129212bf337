-- explain_run names no call that is refused: not the answer to a gate whose time is over, no limit higher than there may be.
begin;
select plan(18);

create function pg_temp.unblock(run_id text) returns text language sql as $$ select e.unblock from app.explain_run(run_id) as e $$;
select app_test.a_recipe('late', '[{"gates": [{"key": "approve-plan", "ttlMS": 60000}, {"key": "other"}]}]'), app_test.a_run('late', 'late') as late, app.setting('app_version') as version \gset
select app.advance('1 minute') \g /dev/null
select is((select concat_ws(' | ', status, why, held_by, unblock) from app.explain_run(:'late')),
  format('WAITING_INPUT | the time to answer the gate approve-plan is over, any live worker ends it: sisu runner --app-version %s | the clock | select app.recover()', :'version'), 'a gate that expired and was not ended');
select pg_temp.unblock(:'late') as call \gset
:call \g /dev/null
select is(app.get_run(:'late') #>> '{error,code}', 'gate_expired', 'the call that is named ends it');

select app_test.a_recipe(), app_test.a_worker() \g /dev/null
select app_test.a_run('one ' || i, options => '{"queuePartitionKey": "a%sb''"}') from generate_series(1, 4) as i \g /dev/null
select app_test.work_once(n => 2) \g /dev/null
create function pg_temp.waiting() returns text language sql as $$ select pg_temp.unblock(s.run_id) from app.run_steps as s where s.queue_seq is not null order by s.queue_seq limit 1 $$;
-- the rows are set by hand: so many leases would take long
create temp table calls (rules text, call text);
insert into calls values
  ('max_running = 2', '%"maxRunning": 4}%'),
  ('max_running = null, max_running_per_partition = 2', '%set_partition(''intentQ'', ''a\%sb'''''', ''{"maxRunning": 4}%'),
  ('max_running_per_partition = null, max_running_per_worker = 2', '%"maxRunningPerWorker": 4}%');
create function pg_temp.set_rules(rules text) returns text language plpgsql as $$
begin
  execute format('update app.queues set %s where queue_name = ''intentQ''', rules);
  return pg_temp.waiting();
end $$;
select alike(pg_temp.set_rules(rules), call, rules) from calls;
select is(app_test.error_of(pg_temp.set_rules(rules)), null, 'it works') from calls;

select is(app.raise_limit('raise to %s', shape, path, value), said, format('%s %s', path, value)) from (values
  ('limits', 'maxRunning', 500001, 'raise to 1000000'), ('limits', 'maxRunning', 1000000, null),
  ('rate', 'limit', 9000, 'raise to 10000'), ('rate', 'limit', 10000, null)) as v (shape, path, value, said);
select app.advance('1 day') \g /dev/null
select app.set_limits('intentQ', '{"maxRunningPerWorker": null, "rate": {"limit": 10000, "seconds": 60}}', 'ann', 'x') \g /dev/null
insert into app.rate_tokens (queue_name, partition_key, used_at, tokens) values ('intentQ', 'p', app.now(), 10000);
select is((select why || coalesce(unblock, '') from app.explain_run((select run_id from app.run_steps where queue_seq is not null order by queue_seq limit 1))),
  'S0 waits on intentQ: its rate limit of 10000 in 60 s is used up', 'the highest rate cannot be raised');

-- a version is any text that is not blank; a shell takes it as one word
select is(app.runner_command(version, 'intentQ'), 'sisu runner --app-version ' || word || ' --queue intentQ', version) from (values
  ('1.2.0-rc1+b/7', '1.2.0-rc1+b/7'), ('v 9; it''s $(id)', $$'v 9; it'\''s $(id)'$$)) as v (version, word);
select app_test.a_run('odd', options => '{"appVersion": "v 9; it''s $(id)"}') as odd, app.runner_command('v 9; it''s $(id)', 'intentQ') as command \gset
select is(pg_temp.unblock(:'odd'), :'command', 'the command that serves it');
update app.run_steps set enqueued_at = enqueued_at - interval '1 minute' where run_id = :'odd';
select alike((select reason from app.v_ops_inbox where run_id = :'odd'), '%: ' || replace(:'command', '\', '\\'), 'the inbox names it too');
select is_empty('select * from app.v_invariants');
rollback;
