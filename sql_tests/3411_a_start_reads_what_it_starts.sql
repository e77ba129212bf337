-- What a start, a claim and a commit read follows what they are asked for, not what the tables hold: no cached plan walks a whole table or index.
begin;
select plan(4);

select app_test.a_recipe() \g /dev/null
-- index entries and rows of whole tables that this transaction has read so far
create function pg_temp.reads() returns bigint language sql as $$
  select sum(pg_stat_get_xact_tuples_returned(c.oid)) from pg_class as c where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'i') $$;
create function pg_temp.starts(label text, n integer) returns void language sql as $$
  select count(app.start_runs(b.batch)) from (
    select jsonb_agg(jsonb_build_object('recipeName', 'plain', 'intent', jsonb_build_object('goal', label || i, 'inputs', '{}'::jsonb, 'constraints', '{}'::jsonb))) as batch
    from generate_series(1, n) as i group by i / 100) as b;
  select null $$;
create function pg_temp.steps(n integer) returns bigint language plpgsql as $$
declare
  lanes jsonb := (select jsonb_agg(app_test.done(w)) from app_test.work_once('w1', n => n) as w);
begin
  return (select count(*) from app.work('w1', lanes, '{"queues": {"intentQ": 100}}'));
end $$;
create function pg_temp.reads_of(call text) returns bigint language plpgsql as $$
declare
  before bigint := pg_temp.reads();
begin
  execute call;
  return pg_temp.reads() - before;
end $$;

select pg_temp.starts('first ', 200), pg_temp.steps(100) \g /dev/null
select pg_temp.reads_of($$select pg_temp.starts('few ', 100)$$) as starts_few, pg_temp.reads_of('select pg_temp.steps(100)') as steps_few \gset
select pg_temp.starts('many ', 10000) \g /dev/null
select pg_temp.reads_of($$select pg_temp.starts('one ', 100)$$) as starts_many, pg_temp.reads_of('select pg_temp.steps(100)') as steps_many \gset
select ok(:starts_few > 100 and :steps_few > 100, 'reads are counted');
select ok(:starts_many - :starts_few < 1000, format('a hundred starts read %s entries, %s when ten thousand more runs are there', :starts_few, :starts_many));
-- what this very transaction took from the line stays in its index until vacuum comes, hence the margin
select ok(:steps_many - :steps_few < 5000, format('a claim and a commit of a hundred steps read %s, then %s', :steps_few, :steps_many));
select is_empty('select * from app.v_invariants');
rollback;
