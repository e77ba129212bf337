-- Kind none, idx 999 when a step produced nothing; otherwise its artifacts in order, each with the sha256 of its bytes.
begin;
select plan(20);

select app_test.a_recipe('r', '[{"retry": {"maxAttempts": 2, "retryableCodes": ["infra"]}}, {}]'), app_test.a_run('g', 'r') as run_id \gset
select app_test.fail_step('infra') \g /dev/null
select is_empty('select * from app.artifacts', 'a failed attempt leaves no none');
select app_test.finish_step() \g /dev/null
select is(row(step_id, step_idx, attempt, idx, kind, size, sha256)::text,
  row('S0', 0, 2, 999, 'none', 4, '140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe')::text, 'none, 999 and its hash') from app.artifacts;
select is(convert_from(g.body, 'UTF8'), 'none', 'it can be read like any other') from app.artifacts as a, app.get_artifact(a.artifact_id) as g;
select app_test.finish_step(jsonb_build_object('artifacts', '[{"kind": "artifact_index", "name": "index.json", "inline": {"b": 1.0, "a": "ä"}}, {"kind": "none_at_all", "name": "null", "inline": null},
  {"kind": "stdout", "name": "out", "mediaType": "text/plain", "body": "aGVs\nbG8="}, {"kind": "stderr", "name": "err", "body": ""}, {"kind": "stdout", "name": "again", "body": "aGVsbG8="}]'::jsonb)) \g /dev/null
create temp table a as select * from app.artifacts where step_idx = 1;
create temp table c as select g.* from a, app.get_artifact(a.artifact_id) as g;
select is((select array_agg(kind order by idx) from a), array['artifact_index', 'none_at_all', 'stdout', 'stderr', 'stdout'], 'in the order given');
select is((select array_agg(idx order by idx) from a), array[0, 1, 2, 3, 4], 'numbered from 0');
select is((select array_agg(convert_from(body, 'UTF8') order by idx) from c), array['{"a":"ä","b":1}', 'null', 'hello', '', 'hello'], 'the bytes: canonical JSON, or the body');
select is_empty($$select * from c where sha256 <> encode(sha256(body), 'hex')$$, 'sha256 is that of the bytes');
select is_empty($$select * from c where size <> length(body)$$, 'size too');
select is(sha256, encode(sha256('{"a":"ä","b":1}'::text::bytea), 'hex'), 'also of inline JSON') from a where idx = 0;
select is((select array_agg(media_type order by idx) from a), array['application/json', 'application/json', 'text/plain', 'application/octet-stream', 'application/octet-stream'], 'media types');
select is((select count(*) from app.artifact_blobs), 3::bigint, 'a body is stored once per content');
select is(app.list_artifacts(:'run_id') -> 1, (select jsonb_build_object('artifactId', artifact_id, 'stepID', 'S1', 'taskKey', null, 'attempt', 1, 'idx', 0, 'kind', 'artifact_index',
  'name', 'index.json', 'mediaType', 'application/json', 'size', size, 'sha256', sha256) from a where idx = 0), 'listed without their bytes');
select is(app.get_steps(:'run_id') #>> '{1,artifactRefs,2,kind}', 'stdout', 'and with their step');

-- a failed attempt keeps what it made
select app_test.a_run('failing', 'r') as failing \gset
select app_test.finish_step(jsonb_build_object('status', 'ERROR', 'error', '{"code": "infra", "message": "x"}'::jsonb, 'artifacts', '[{"kind": "stderr", "name": "err", "body": "AA=="}]'::jsonb)) \g /dev/null
select app_test.finish_step(jsonb_build_object('artifacts', '[{"kind": "stdout", "name": "out", "body": "AQ=="}]'::jsonb)) \g /dev/null
select is((select array_agg(attempt || kind order by attempt) from app.artifacts where run_id = :'failing'), array['1stderr', '2stdout'], 'artifacts of a failed attempt are kept');
select is(app.get_steps(:'failing') #>> '{0,artifactRefs,0,kind}', 'stdout', 'the step shows those of its latest attempt');
select is(jsonb_array_length(app.list_artifacts(:'failing')), 2, 'the run shows all');

select is(app_test.error_of(format('insert into app.artifacts (run_id, step_id, idx, kind, name, media_type, size, sha256, created_at)
  values (%L, ''S0'', %s, %L, ''x'', ''text/plain'', 1, %L, now())', :'run_id', idx, kind, sha)) ->> 'sqlstate', '23514', why)
from (values (0, 'none', repeat('a', 64), 'none has idx 999'), (999, 'file', repeat('a', 64), '999 is none'), (0, 'file', 'x', 'a hash is a hash')) as v (idx, kind, sha, why);
select is_empty('select * from app.v_invariants');
rollback;
