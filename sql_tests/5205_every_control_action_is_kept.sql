-- A target may be acted on any number of times: the place 999 is that of empty steps, and is left out.
begin;
select plan(3);

do $$ begin
  for n in 1..501 loop
    perform app.pause_queue('sbxQ', 'ann', 'x'), app.unpause_queue('sbxQ', 'ann', 'x');
  end loop;
end $$;
select is((select count(*) from app.artifacts where run_id = 'queue/sbxQ'), 1002::bigint, 'a thousand and two');
select is((select array_agg(idx order by idx) from app.artifacts where run_id = 'queue/sbxQ' and idx > 996), array[997, 998, 1000, 1001, 1002], 'each in its place');
select is_empty('select * from app.v_invariants');
rollback;
