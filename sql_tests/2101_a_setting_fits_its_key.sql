-- A setting that the engine could not read would stop every function, so it is refused when it is written.
begin;
select plan(12);

create temp table before as select app_test.everything() as hash;
select is(app_test.faults_of($$select app.put_setting('colour', '"red"')$$), 'key', 'an unknown key');
select is(app_test.faults_of($$select app.put_setting(null, null)$$), 'key, value', 'nothing given: both are named');
select is(app_test.faults_of(format('select app.put_setting(%L, %L)', key, 1)), 'key', key || ' is not for people') from (values ('clock_offset'), ('code_hash')) as v (key);
select is(app_test.faults_of(format('select app.put_setting(%L, %L)', key, value)), 'value', key || ' ' || value)
from (values ('oc_mode', '"telepathy"'), ('sbx_mode', '17'), ('app_version', '""'), ('default_recipe', '["x"]')) as v (key, value);
select is(app_test.everything(), hash, 'nothing was written') from before;
select lives_ok($$select app.put_setting('oc_mode', '"live"')$$, 'a known mode');
select is(app.setting('oc_mode'), 'live', 'is kept');
select app_test.a_run() as run_id \gset
select is(app.get_run(:'run_id') ->> 'ocMode', 'live', 'and new runs take it');
rollback;
