-- One value against one rule of app.v_arguments.
begin;
select plan(13);

select is(app.fault(null, 'string', true, null, null, null, null), 'is required', 'missing');
select is(app.fault('null', 'string', true, null, null, null, null), 'is required', 'null counts as missing');
select is(app.fault('null', 'string', false, null, null, null, null), null, 'an optional field may be null');
select is(app.fault('1', 'string', true, null, null, null, null), 'must be a string', 'type');
select is(app.fault('1', 'object|array', true, null, null, null, null), 'must be an object or an array', 'one of two types');
select is(app.fault('1.5', 'integer', true, null, null, null, null), 'must be an integer', 'a fraction is no integer');
select is(app.fault('1.0', 'integer', true, null, null, null, null), 'must be an integer', 'an integer is written as one');
select is(app.fault('11', 'integer', true, 1, 10, null, null), 'must be between 1 and 10', 'range');
select is(app.fault('"abc"', 'string', true, 0, 2, null, null), 'must have between 0 and 2 characters', 'length');
select is(app.fault('[]', 'array', true, 1, 2, null, null), 'must have between 1 and 2 elements', 'size');
select is(app.fault('"  "', 'string', true, null, null, '\S', null), 'must not be blank', 'blank');
select is(app.fault('"x"', 'string', true, null, null, null, array['a', 'b']), 'must be one of a, b', 'choice');
select is_empty($$select shape, path from app.v_arguments group by 1, 2 having count(*) > 1$$, 'every field has one rule');
rollback;
