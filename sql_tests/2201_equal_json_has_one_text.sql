-- RFC 8785: keys by UTF-16 code unit, numbers as ECMAScript prints them, no white space.
begin;
select plan(16);

select is(app.canonical_json('{"b": 1, "a": [true, null, "x"]}'), '{"a":[true,null,"x"],"b":1}', 'keys in order, no white space');
select is(app.canonical_json('{"aa": 1, "b": 2}'), '{"aa":1,"b":2}', 'a longer key goes first when it sorts first');
select is(app.canonical_json(E'{"\u20ac": 1, "\\r": 2, "\ufb33": 3, "1": 4, "\U0001F600": 5, "\u0080": 6, "\u00f6": 7}'),
  E'{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001F600":5,"\ufb33":3}', 'the vector of RFC 8785: code units, not code points');
select is(app.canonical_json('1.0'), '1', '1.0 is 1');
select is(app.canonical_json('{"n": 1.0}'), app.canonical_json('{"n": 1}'), 'also inside an object');
select is(app.canonical_json('-0'), '0', 'there is no negative zero in jsonb');
select is(app.canonical_json('333333333.33333329'), '333333333.3333333', 'shortest digits');
select is(app.canonical_json('1E30'), '1e+30', 'exponents from 1e21');
select is(app.canonical_json('100000000000000000000'), '100000000000000000000', 'none below');
select is(app.canonical_json('2e-3'), '0.002', 'plain down to 1e-6');
select is(app.canonical_json('0.0000001'), '1e-7', 'exponents below');
select is(app.canonical_json('1e23'), '1e+23', 'a midpoint between two doubles');
select is(app.canonical_json('9007199254740993'), '9007199254740992', 'beyond 2^53 it is the double it rounds to');
select is(app.canonical_json(to_jsonb(E'\u20ac$\u000F\nA''B"\\/'::text)), E'"\u20ac$\\u000f\\nA''B\\"\\\\/"', 'strings are escaped no more than needed');
select is(app_test.error_of($$select app.canonical_json('[1e400]')$$) ->> 'sqlstate', 'PT400', 'a number that is no double is refused');
select is(app_test.error_of($$select app.canonical_json((repeat('[', 600) || repeat(']', 600))::jsonb)$$) ->> 'sqlstate', 'PT400', 'so is a bottomless one');
rollback;
