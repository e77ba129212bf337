-- A setting that the engine could not read would stop everything, so it is refused when it is written.
begin;
select plan(9);

select is(app_test.refusal($$select app.put_setting('colour', '"red"')$$), 'PT400 schema_violation', 'an unknown key');
select is(app_test.faulty_fields($$select app.put_setting(null, null)$$), 'key, value', 'nothing given: both are named');
select is(app_test.refusal($$select app.put_setting('clock_offset', '"soon"')$$), 'PT400 schema_violation', 'an offset that is no interval');
select is(app_test.refusal($$select app.put_setting('oc_mode', '"telepathy"')$$), 'PT400 schema_violation', 'a planner mode that does not exist');
select is(app_test.refusal($$select app.put_setting('sbx_mode', '17')$$), 'PT400 schema_violation', 'a sandbox mode that is no text');
select is(app_test.refusal($$select app.put_setting('app_version', '""')$$), 'PT400 schema_violation', 'an empty version');
select lives_ok($$select app.put_setting('oc_mode', '"live"')$$, 'a known mode');
select is(app.setting('oc_mode'), 'live', 'is kept');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
