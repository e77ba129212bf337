-- gate_exhibits: a text that is not UTF-8, or has a NUL in it, has no text to show and is no error.
begin;
select plan(2);
select app_test.a_recipe('shown', '[{"stepId": "A"}, {"stepId": "B", "gate": {"key": "g", "shows": ["A"]}}]') \g /dev/null
create temp table run as select app_test.a_run('show me', 'shown') as id;
select app_test.finish_step(jsonb_build_object('artifacts', (
  select jsonb_agg(jsonb_build_object('kind', 'stdout', 'name', n || '.txt', 'mediaType', media, 'body', encode(body, 'base64')) order by n)
  from (values (1, 'text/plain', '\x616263'::bytea), (2, 'text/plain', '\xff41'), (3, 'text/plain', '\x610062'), (4, 'application/json', '\xeda080'), (5, 'text/plain', '\xc3'),
    (6, 'text/plain', '\xc3a4f09f9880'), (7, 'text/plain', '')) as b (n, media, body)))) \g /dev/null
select is((select array_agg(e.name || coalesce(' ' || e.body, '') order by e.name) from run, app.gate_exhibits(run.id, 'g') as e),
  array['1.txt abc', '2.txt', '3.txt', '4.txt', '5.txt', '6.txt ä😀', '7.txt '], 'what is text has its text, what is not has none');
select is_empty('select * from app.v_invariants', 'all laws hold');
rollback;
