-- Fork diff: what a fork did otherwise than its source, or any run than another, step by step.
--
--   app.fork_diff(a, b) → (idx, step_id, status_a, status_b, attempt_a, attempt_b, cached, same_output, output_a, output_b, artifacts, tasks_a, tasks_b)
--
-- A row per step that either recipe has, in order, with the latest attempt on each side. Reads only. Ids of tasks hold the id of their
-- run: they are left out of what is compared, a task is known by its position.

create or replace function app.step_output(step app.run_steps)
returns jsonb
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select case when step.tasks_open is null or jsonb_typeof(step.output -> 'tasks') is distinct from 'array' then step.output
    else step.output || jsonb_build_object('tasks', (
      select coalesce(jsonb_agg(t.value - 'taskKey' order by t.ordinality), '[]') from jsonb_array_elements(step.output -> 'tasks') with ordinality as t)) end;
$$;
comment on function app.step_output(app.run_steps) is 'The output of an attempt without the ids of its tasks, so that it can be compared with that of another run.';

create or replace function app.side_of_diff(run_id text)
returns table (idx integer, step_id text, status text, attempt integer, cached_from text, output jsonb, tasks bigint, artifacts text[])
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select c.idx, c.step_id, s.status, s.attempt, s.cached_from, s.output, k.tasks, k.artifacts
  from app.runs as r
    join app.recipe_steps as c on c.recipe_id = r.recipe_id
    left join lateral (
      select s.status, s.attempt, s.cached_from, app.step_output(s) as output from app.run_steps as s
      where s.run_id = r.run_id and s.idx = c.idx and s.task_key = '' order by s.attempt desc limit 1) as s on true
    cross join lateral (
      -- the artifacts of the latest attempts, each as its place, name and hash; a probe for each artifact
      select (select count(distinct t.task_key) from app.run_steps as t where t.run_id = r.run_id and t.idx = c.idx and t.task_key <> '') as tasks,
        array_agg(format('%s/%s %s', l.task_idx, a.name, a.sha256) order by l.task_idx, a.idx) as artifacts
      from app.artifacts as a
        cross join lateral (
          select t.task_idx, t.attempt from app.run_steps as t
          where t.run_id = r.run_id and t.idx = c.idx and t.task_key = a.task_key order by t.attempt desc limit 1) as l
      where a.run_id = r.run_id and a.step_idx = c.idx and a.attempt = l.attempt and a.kind <> 'none') as k
  where r.run_id = side_of_diff.run_id;
$$;
comment on function app.side_of_diff(text) is 'The steps of one run as fork_diff compares them.';

create or replace function app.fork_diff(a text, b text)
returns table (idx integer, step_id text, status_a text, status_b text, attempt_a integer, attempt_b integer, cached boolean, same_output boolean,
  output_a jsonb, output_b jsonb, artifacts text[], tasks_a bigint, tasks_b bigint)
language plpgsql
stable
parallel unsafe
security definer
set search_path = ''
as $$
begin
  perform app.check_input('fork_diff', jsonb_build_object('a', fork_diff.a, 'b', fork_diff.b));
  perform app.check_run(fork_diff.a);
  perform app.check_run(fork_diff.b);
  return query
    select coalesce(y.idx, x.idx), coalesce(y.step_id, x.step_id), x.status, y.status, x.attempt, y.attempt,
      coalesce(y.cached_from = coalesce(x.cached_from, fork_diff.a), false), x.output is not distinct from y.output, x.output, y.output,
      array(
        select distinct left(substring(d.entry from position('/' in d.entry) + 1), -65)
        from (
          (select unnest(x.artifacts) except all select unnest(y.artifacts)) union all
          (select unnest(y.artifacts) except all select unnest(x.artifacts))) as d (entry)
        order by 1),
      coalesce(x.tasks, 0), coalesce(y.tasks, 0)
    from app.side_of_diff(fork_diff.a) as x full join app.side_of_diff(fork_diff.b) as y on y.idx = x.idx and y.step_id = x.step_id
    order by 1, 2;
end
$$;
comment on function app.fork_diff(text, text) is
  'What run b did otherwise than run a, a row per step: latest attempts on both sides (null where a run has not come there), cached (b reused the step of a), same_output, the names of artifacts that differ, and how many tasks. PT404.';
