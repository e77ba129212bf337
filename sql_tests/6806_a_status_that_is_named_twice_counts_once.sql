-- A purge that is told a status twice takes as many runs as it may, and says whether there are more.
begin;
select plan(3);

create temp table r as select app_test.a_run('r' || n) as id from generate_series(1, 5) as n;
select app.cancel_run(id, 'ann', 'x') from r \g /dev/null
select app.advance('1 day') \g /dev/null
select is(app.purge_runs('1 hour', 'ann', 'x', '{CANCELLED,CANCELLED}', 4, true) - array['bodies', 'accepted'], '{"purged": 4, "more": true, "dryRun": true}', 'a dry run');
select is(app.purge_runs('1 hour', 'ann', 'x', '{CANCELLED,CANCELLED}', 4) - array['bodies', 'accepted'], '{"purged": 4, "more": true, "dryRun": false}', 'a real one');
select is(app.purge_runs('1 hour', 'ann', 'x', '{CANCELLED,ERROR,CANCELLED}', 4) - array['bodies', 'accepted'], '{"purged": 1, "more": false, "dryRun": false}', 'the rest');
rollback;
