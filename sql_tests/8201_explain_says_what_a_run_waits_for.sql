-- explain_run in one row: what the run waits for, who holds that, since when, what comes by itself, and what would unblock it.
begin;
select plan(33);

create function pg_temp.explained(run_id text) returns text language sql as $$
  select concat_ws(' | ', e.status, e.why, e.held_by, e.unblock) from app.explain_run(run_id) as e $$;
create function pg_temp.times(run_id text) returns text language sql as $$
  select row(e.since, e.next_at)::text from app.explain_run(run_id) as e $$;

-- nobody is there
select app_test.a_run('first', options => '{"queuePartitionKey": "p"}') as first, app_test.a_run('second', options => '{"queuePartitionKey": "p"}') as second,
  app_test.a_run('elsewhere', options => '{"queuePartitionKey": "q"}') as elsewhere, app.setting('app_version') as version \gset
select is(pg_temp.explained(:'first'), format('ENQUEUED | no live worker of version %1$s serves intentQ | nobody | sisu runner --app-version %1$s --queue intentQ', :'version'), 'no worker');
select is(pg_temp.times(:'first'), (select row(enqueued_at, null::timestamptz)::text from app.run_steps where run_id = :'first'), 'since it is in line');
select app_test.a_worker('other', '{"appVersion": "v0"}'), app_test.a_worker('tasks only', '{"queues": ["sbxQ"]}') \g /dev/null
select alike(pg_temp.explained(:'first'), '%no live worker of version%', 'one of another version, or another queue, does not count');
select app_test.a_worker('w1') \g /dev/null
update app.workers set last_seen_at = clock_timestamp() - interval '1 minute' where worker = 'w1';
select alike(pg_temp.explained(:'first'), '%no live worker of version%', 'nor one that is silent');
select app_test.a_worker('w1') \g /dev/null

-- in line
select is(pg_temp.explained(:'first'), 'ENQUEUED | S0 waits in line on intentQ, 0 before it in its partition | the queue', 'first in line');
select is(pg_temp.explained(:'second'), 'ENQUEUED | S0 waits in line on intentQ, 1 before it in its partition | the queue', 'second in line');
select is(pg_temp.explained(:'elsewhere'), 'ENQUEUED | S0 waits in line on intentQ, 0 before it in its partition | the queue', 'another partition does not count');

-- at work
select * from app_test.work_once() \g /dev/null
select run_id as working from app.run_steps where status = 'PENDING' \gset
select is(pg_temp.explained(:'working'), format('PENDING | S0 attempt 1 is being executed | w1 | select app.cancel_run(%L, actor => ''me'', reason => ''…'')', :'working'), 'at work');
select is(pg_temp.times(:'working'), (select row(s.started_at, l.expires_at)::text from app.run_steps as s, app.leases() as l where s.run_id = :'working'), 'until the lease ends');
select app_test.age_leases('1 hour') \g /dev/null
select is(pg_temp.explained(:'working'), format('PENDING | the lease of S0 attempt 1 has expired | w1 | any live worker of version %1$s takes over: sisu runner --app-version %1$s', :'version'), 'a worker that is gone');
select is(pg_temp.times(:'working'), (select row(s.started_at, l.expires_at)::text from app.run_steps as s, app.leases() as l where s.run_id = :'working'), 'since when');
select app_test.recover() \g /dev/null
select alike(pg_temp.explained(:'working'), '%| S0 waits in line on intentQ, 0 before it%', 'taken over, it is in line again');

-- a human
select app.cancel_run(run_id, 'ann', 'x') from app.runs \g /dev/null
select app_test.a_recipe('gated', '[{"gate": {"key": "approve-plan", "title": "Sure", "ttlMS": 60000}}, {"gate": {"key": "ask", "kind": "input"}}]'), app_test.a_run('gated', 'gated') as gated \gset
select is(pg_temp.explained(:'gated'), format('WAITING_INPUT | waits for a human at the gate approve-plan: Sure | a human | select app.approve_plan(%L, approved_by => ''me'')', :'gated'), 'the plan gate');
select is(pg_temp.times(:'gated'), (select row(opened_at, expires_at)::text from app.gates), 'until it expires');
select unblock from app.explain_run(:'gated') \gset
:unblock \g /dev/null
select app_test.finish_step() \g /dev/null
select is(pg_temp.explained(:'gated'), format('WAITING_INPUT | waits for a human at the gate ask | a human | select app.reply_gate(%L, ''ask'', payload => ''{}'', dedupe_key => left(''1/'' || o.me, 256), origin => o.me) from (values (''me'')) as o (me)', :'gated'), 'the call that was named unblocked it; another gate without a title or an end');
select is((select next_at from app.explain_run(:'gated')), null, 'nothing comes by itself');

-- the clock
select app_test.a_recipe('tries', '[{"retry": {"maxAttempts": 2, "backoff": {"initialMS": 60000}, "retryableCodes": ["infra"]}}]'), app_test.a_run('tries', 'tries') as tries \gset
select app_test.fail_step('infra') \g /dev/null
select is(pg_temp.explained(:'tries'), 'PENDING | waits to try S0 again after infra | the clock', 'a retry');
select is(pg_temp.times(:'tries'), (select row(created_at, fire_at)::text from app.timers where kind = 'retry'), 'from when to when');
select app.advance('1 minute'), app_test.recover() \g /dev/null
select alike(pg_temp.explained(:'tries'), 'PENDING | S0 waits in line%', 'and then it is in line');

-- the end
select app_test.fail_step() \g /dev/null
select is(pg_temp.explained(:'tries'), format('ERROR | the run is over: it did not work | select app.repair_run(%L, actor => ''me'', reason => ''…'')', :'tries'), 'failed');
select is(pg_temp.times(:'tries'), (select row(ended_at, null::timestamptz)::text from app.runs where run_id = :'tries'), 'since its end');
select is(pg_temp.explained(:'first'), format('CANCELLED | the run is over | select app.resume_run(%L, actor => ''me'', reason => ''…'')', :'first'), 'cancelled');
select unblock from app.explain_run(:'first') \gset
:unblock \g /dev/null
select is(app_test.status_of(:'first'), 'ENQUEUED', 'the call that is named helps');

-- tasks
select app.cancel_run(:'first', 'ann', 'x') \g /dev/null
select app_test.a_recipe('fan', '[{"fanOut": {"queue": "sbxQ", "handler": "t/task", "retry": {"maxAttempts": 2, "backoff": {"initialMS": 60000}, "retryableCodes": ["infra"]}}}]'), app_test.a_run('fan', 'fan', '{"priority": 0}') as fan \gset
select app_test.finish_step('{"tasks": ["a", "b"]}') \g /dev/null
select alike(pg_temp.explained(:'fan'), 'PENDING | S0 task _ waits in line on sbxQ, % before it in its partition | the queue', 'a step waits for its tasks: they are what is told');
select app_test.fail_step('infra', queue => 'sbxQ') \g /dev/null
select alike(pg_temp.explained(:'fan'), 'PENDING | S0 task _ waits in line on sbxQ, % before it in its partition | the queue', 'one in line comes before one that is tried again');
select app_test.finish_step(queue => 'sbxQ') \g /dev/null
select is(pg_temp.explained(:'fan'), 'PENDING | waits to try S0 task 0 again after infra | the clock', 'which is told when it is all there is');
select app.advance('1 minute'), app_test.recover() \g /dev/null
select app_test.finish_step(queue => 'sbxQ') \g /dev/null
select is(pg_temp.explained(:'fan'), 'SUCCESS | the run is over', 'a run that succeeded needs nothing');

-- a sleep
select app_test.a_recipe('nap', '[{"stepId": "Nap", "sleep": {"ms": 60000}}]'), app_test.a_run('nap', 'nap') as nap \gset
select is(pg_temp.explained(:'nap'), 'PENDING | Nap sleeps | the clock', 'a sleep');
select is(pg_temp.times(:'nap'), (select row(created_at, fire_at)::text from app.timers where kind = 'sleep'), 'from when to when');
select app.advance('2 minutes') \g /dev/null
select is(pg_temp.explained(:'nap'), format('PENDING | Nap sleeps | the clock | any live worker fires it: sisu runner --app-version %s', :'version'), 'overdue, nobody is there to wake it');
select app_test.recover() \g /dev/null

-- several gates, several people
select app_test.a_recipe('both', '[{"gates": [{"key": "money", "quorum": 2}, {"key": "law", "ttlMS": 60000}]}]'), app_test.a_run('both', 'both') as both \gset
select alike(pg_temp.explained(:'both'), 'WAITING_INPUT | waits for a human at the gate law, and at 1 more | a human | %', 'the gate that ends first is told');
select app.reply_gate(:'both', 'law', '{"decision": "yes"}', '1', 'ann') \g /dev/null
select alike(pg_temp.explained(:'both'), 'WAITING_INPUT | waits for a human at the gate money (2 more have to say yes) | %', 'and how many have to answer');
select is_empty('select * from app.v_invariants');
rollback;
