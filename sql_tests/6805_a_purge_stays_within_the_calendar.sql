-- older_than is at most 100 years, in every part of it: more would lead out of the calendar.
begin;
select plan(8);

select is(app_test.faults_of(format('select app.purge_runs(%L, ''ann'', ''x'')', older_than)), 'older_than', older_than)
from unnest(array['200000 years', '100 years 1 day', '36001 days', '-300000 years 108000000 days', '-100000000 days 2400000001 hours']) as older_than;
select is(app.purge_runs('100 years', 'ann', 'x') -> 'purged', '0', 'the longest');
select is(app.purge_runs('864000 hours', 'ann', 'x') -> 'purged', '0', 'however it is said');
select is_empty('select * from app.v_invariants');
rollback;
