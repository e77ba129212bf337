-- Without version the next one is given; equal content of the newest is a replay.
begin;
select plan(8);

select is(app.put_recipe('{"name":"r","steps":[{"stepId":"A","handler":"h"}]}') - 'status', '{"name":"r","version":1,"isReplay":false}'::jsonb, 'the first version is 1');
select is(app.put_recipe('{"steps":[{"handler":"h","stepId":"A"}],"name":"r"}') - 'status', '{"name":"r","version":1,"isReplay":true}'::jsonb, 'the same content is a replay');
select is(app.put_recipe('{"name":"r","steps":[{"stepId":"B","handler":"h"}]}') ->> 'version', '2', 'other content is the next one');
select is(app.put_recipe('{"name":"r","version":7,"steps":[{"stepId":"C","handler":"h"}]}') ->> 'version', '7', 'a version that is given is taken');
select is(app.put_recipe('{"name":"r","steps":[{"stepId":"D","handler":"h"}]}') ->> 'version', '8', 'the next one follows the newest');
select is(app.put_recipe('{"name":"r","version":1,"steps":[{"stepId":"A","handler":"h"}]}') ->> 'isReplay', 'true', 'an old version again, with its own content');
select results_eq($$select step_id from app.recipe_steps join app.recipes using (recipe_id) where name = 'r' order by version, idx$$, array['A', 'B', 'C', 'D'], 'each has its steps');
select is_empty('select * from app.v_invariants', 'every law holds');

select * from finish();
rollback;
