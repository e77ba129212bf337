-- Guards: what every writer is held to, the owner of the tables included.
--
--   app.enforce_transitions()   makes the triggers that refuse a change of status which app.run_transitions does not list
--   triggers                    a terminal attempt never changes · a recipe version is written once · attempts and artifacts belong to a run ·
--               a run has an intent and a recipe, and those stay · a run goes only when it has a tombstone, and that stays
--
-- Guards stand on the hot path, so a legal change costs a comparison and no call: the rows of app.run_transitions become the WHEN of the
-- triggers (hence the dynamic SQL), and what new rows refer to is looked up once per statement. Functions that make rows from the very
-- runs whose locks the transaction holds say so (set sisu.runs_held = 'yes' in their head), and nothing is looked up.

create or replace function app.refuse_transition()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  before text := case tg_op when 'INSERT' then '' else old.status end;
begin
  perform app.fail('PT409', 'illegal_transition', format('%s of run %s cannot go from %s to %s', tg_argv[0], new.run_id, coalesce(nullif(before, ''), 'nothing'), new.status),
    jsonb_build_object('status', before), 'select * from app.v_state_machine');
  return null;
end
$$;
comment on function app.refuse_transition() is 'Trigger: raises PT409 illegal_transition.';

create or replace function app.enforce_transitions()
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  e record;
begin
  -- the rows become the WHEN of the triggers: the executor compares, no function is called for a legal change
  for e in
    select v.entity, v.name, array(select t.to_status from app.run_transitions as t where t.entity = v.entity and t.from_status = '' order by 1) as born,
      array(select t.from_status || ' ' || t.to_status from app.run_transitions as t where t.entity = v.entity and t.from_status <> '' order by 1) as legal
    from (values ('run', 'runs'), ('step', 'run_steps')) as v (entity, name)
  loop
    execute format('create or replace trigger a_%s_begins_well before insert on app.%I for each row when (new.status <> all (%L::text[])) execute function app.refuse_transition(%L)',
      e.entity, e.name, e.born, e.entity);
    execute format('create or replace trigger a_%s_follows_the_transitions before update on app.%I for each row when (old.status <> new.status and (old.status || '' '' || new.status) <> all (%L::text[])) execute function app.refuse_transition(%L)',
      e.entity, e.name, e.legal, e.entity);
    execute format('alter table app.%I enable always trigger a_%s_begins_well', e.name, e.entity);
    execute format('alter table app.%I enable always trigger a_%s_follows_the_transitions', e.name, e.entity);
  end loop;
end
$$;
comment on function app.enforce_transitions() is 'Makes the triggers that hold runs and attempts to app.run_transitions. Runs at every replay and whenever those rows change.';

create or replace function app.transitions_changed()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.enforce_transitions();
  return null;
end
$$;
comment on function app.transitions_changed() is 'Trigger: the rows of app.run_transitions are in force at once.';

create or replace trigger changed_transitions_are_in_force after insert or update or delete or truncate on app.run_transitions
  for each statement execute function app.transitions_changed();
select app.enforce_transitions();

create or replace function app.require_run()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
begin
  -- a run id holds no slash: queue/…, schedule/… and retention/… are control actions on what is no run
  if exists (select from new_rows as n where (select true from app.runs as r where r.run_id = n.run_id) is null)
    and exists (
      select from new_rows as n
      where (select true from app.runs as r where r.run_id = n.run_id) is null
        and (tg_table_name <> 'artifacts' or n.step_id <> 'OPS' or n.run_id !~ '^(queue|schedule|retention)/.'))
  then
    perform app.fail('PT404', 'run_not_found', format('a row of app.%s belongs to no run', tg_table_name));
  end if;
  return null;
end
$$;
comment on function app.require_run() is 'Trigger: what a foreign key to app.runs would say, once per statement; the audit trail of a queue or a schedule needs no run.';

create or replace trigger an_attempt_belongs_to_a_run after insert on app.run_steps
  referencing new table as new_rows for each statement when (current_setting('sisu.runs_held', true) is distinct from 'yes') execute function app.require_run();
create or replace trigger an_artifact_belongs_to_a_run after insert on app.artifacts
  referencing new table as new_rows for each statement when (current_setting('sisu.runs_held', true) is distinct from 'yes') execute function app.require_run();

create or replace function app.require_origin()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
set enable_seqscan = off
as $$
begin
  -- one probe a row: of (not exists … or not exists …) the planner would make a hash of all intents
  if exists (
    select from new_rows as n
    where (select true from app.intents as i where i.intent_id = n.intent_id) is null
      or (select true from app.recipes as c where c.recipe_id = n.recipe_id and c.queue_name = n.queue_name) is null)
  then
    perform app.fail('PT404', 'origin_not_found', 'a row of app.runs has no intent, or no recipe on its queue');
  end if;
  return null;
end
$$;
comment on function app.require_origin() is 'Trigger: what foreign keys to app.intents, app.recipes and app.queues would say, once per statement. Neither intents nor recipe versions ever go, and those hold their queues.';

create or replace trigger a_run_has_an_intent_and_a_recipe after insert on app.runs
  referencing new table as new_rows for each statement execute function app.require_origin();

create or replace function app.keep_origin()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.fail('PT409', 'origin_stays', format('%s of app.%s: it is what runs are made of, and stays as it is', lower(tg_op), tg_table_name), null, 'take another intent');
  return null;
end
$$;
comment on function app.keep_origin() is 'Trigger: an intent never changes and never goes, and a run keeps its intent, its recipe and its queue.';

create or replace trigger an_intent_stays before update or delete on app.intents for each row execute function app.keep_origin();
create or replace trigger a_run_keeps_its_origin before update on app.runs
  for each row when ((old.intent_id, old.recipe_id, old.queue_name) is distinct from (new.intent_id, new.recipe_id, new.queue_name)) execute function app.keep_origin();

create or replace function app.keep_run()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if exists (select from app.run_steps as s where s.run_id = old.run_id) or exists (select from app.artifacts as a where a.run_id = old.run_id) then
    perform app.fail('PT409', 'run_has_history', format('run %s has attempts or artifacts', old.run_id), null, 'they go first');
  elsif tg_op = 'DELETE' and not exists (select from app.purged_runs as p where p.run_id = old.run_id) then
    perform app.fail('PT409', 'run_has_no_tombstone', format('run %s would be forgotten', old.run_id), null, 'app.purge_runs keeps its name');
  end if;
  return case tg_op when 'DELETE' then old else new end;
end
$$;
comment on function app.keep_run() is 'Trigger: the other half of that foreign key. A run with attempts or artifacts is neither deleted nor renamed, and none is deleted that has no tombstone.';

create or replace trigger a_run_with_history_stays before delete on app.runs for each row execute function app.keep_run();
create or replace trigger a_run_keeps_its_name before update on app.runs
  for each row when (old.run_id <> new.run_id) execute function app.keep_run();

create or replace function app.keep_tombstone()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.fail('PT409', 'tombstone_stays', format('run %s was purged: its name is used up', old.run_id), null, 'take another intent');
  return null;
end
$$;
comment on function app.keep_tombstone() is 'Trigger: a tombstone never changes and never goes.';

create or replace trigger a_tombstone_stays before update or delete on app.purged_runs for each row execute function app.keep_tombstone();

create or replace function app.keep_final_attempt()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if new is distinct from old then
    perform app.fail('PT409', 'attempt_is_final', format('attempt %s of step %s of run %s is %s and never changes', old.attempt, old.step_id, old.run_id, old.status),
      jsonb_build_object('status', old.status), 'a retry is a new attempt');
  end if;
  return new;
end
$$;
comment on function app.keep_final_attempt() is 'Trigger: a terminal attempt never changes.';

create or replace trigger a_final_attempt_never_changes before update on app.run_steps
  for each row when (old.ended_at is not null) execute function app.keep_final_attempt();
alter table app.run_steps enable always trigger a_final_attempt_never_changes;

create or replace function app.refuse_recipe_change()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  perform app.fail('PT409', 'recipe_is_immutable', format('a recipe version never changes: %s of app.%s', lower(tg_op), tg_table_name), null,
    'put the changed recipe as its next version');
  return null;
end
$$;
comment on function app.refuse_recipe_change() is 'Trigger: a recipe version is written once.';

create or replace trigger a_recipe_version_never_changes before update on app.recipes
  for each row when ((old.name, old.version, old.body, old.settings, old.queue_name) is distinct from (new.name, new.version, new.body, new.settings, new.queue_name))
  execute function app.refuse_recipe_change();
create or replace trigger a_recipe_version_stays before delete on app.recipes for each row execute function app.refuse_recipe_change();
create or replace trigger a_recipe_step_never_changes before update or delete on app.recipe_steps
  for each row execute function app.refuse_recipe_change();

create or replace function app.match_recipe_body()
returns trigger
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if new.step_id is distinct from (
    select r.body #>> array['steps', new.idx::text, 'stepId'] from app.recipes as r where r.recipe_id = new.recipe_id)
  then
    perform app.fail('PT409', 'recipe_is_immutable', format('step %s is not in the body of the recipe', new.step_id), null,
      'put the changed recipe as its next version');
  end if;
  return new;
end
$$;
comment on function app.match_recipe_body() is 'Trigger: the step rows of a recipe version are those of its body.';

create or replace trigger a_recipe_step_is_in_the_body before insert on app.recipe_steps
  for each row execute function app.match_recipe_body();
