-- A run has an intent and a recipe version on the queue of that recipe; intents stay as they are, and a run keeps what it is made of.
begin;
select plan(9);

select app_test.a_run() as run_id \gset
create temp table before as select app_test.everything() as hash;

create function pg_temp.like_it(other jsonb) returns jsonb language sql as $$
  select app_test.error_of(format('insert into app.runs select (jsonb_populate_record(r, %L)).* from app.runs as r', other || '{"run_id": "another", "status": "ENQUEUED"}'));
$$;
select is(pg_temp.like_it('{"intent_id": "ih_nothing"}') ->> 'code', 'origin_not_found', 'no run without an intent');
select is(pg_temp.like_it('{"recipe_id": -1}') ->> 'code', 'origin_not_found', 'nor without a recipe');
select is(pg_temp.like_it('{"queue_name": "sbxQ"}') ->> 'code', 'origin_not_found', 'nor on another queue than that of its recipe');
select is(app_test.error_of('delete from app.intents') ->> 'code', 'origin_stays', 'an intent does not go');
select is(app_test.error_of('update app.intents set body = ''{}''') ->> 'code', 'origin_stays', 'nor change');
select is(app_test.error_of('update app.runs set recipe_id = recipe_id + 1') ->> 'code', 'origin_stays', 'a run keeps its recipe');
select is(app_test.error_of('update app.runs set intent_id = ''ih_other''') ->> 'code', 'origin_stays', 'and its intent');
select is(app_test.everything(), hash, 'nothing was written') from before;
select is_empty('select * from app.v_invariants');
rollback;
