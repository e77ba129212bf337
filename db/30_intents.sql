-- Intents: what somebody wants. The id is the content.
--
--   app.create_intent(intent jsonb) → {intentId, isReplay}
--
-- Invariant: intent_id = 'ih_' || sha256(canonical body). The same intent is one row, whoever creates it and how often.

create or replace function app.intent_id(intent jsonb)
returns text
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  -- the usual shape is written out, its keys in order: what is left are the values
  return 'ih_' || encode(sha256(convert_to(case
    when jsonb_typeof(intent -> 'goal') = 'string' and intent ?& array['constraints', 'inputs'] and intent - array['constraints', 'goal', 'inputs'] = '{}'
    then '{"constraints":' || case intent -> 'constraints' when '{}' then '{}' else app.canonical_json_at(intent -> 'constraints', 2) end
      || ',"goal":' || (intent -> 'goal')::text
      || ',"inputs":' || case intent -> 'inputs' when '{}' then '{}' else app.canonical_json_at(intent -> 'inputs', 2) end || '}'
    else app.canonical_json_at(intent, 1) end, 'UTF8')), 'hex');
end
$$;
comment on function app.intent_id(jsonb) is 'Id of an intent body.';

create or replace function app.intent_body(intent jsonb)
returns jsonb
language plpgsql
immutable
parallel safe
security invoker
set search_path = ''
as $$
begin
  return case when intent -> 'connectors' = 'null' then intent - 'connectors' else intent end;
end
$$;
comment on function app.intent_body(jsonb) is 'The intent as it is stored and hashed: connectors only if given and not null.';

create or replace function app.name_by_content(intent_id text)
returns text
language sql
stable
parallel safe
security definer
set search_path = ''
as $$
  select app.intent_id(i.body) from app.intents as i where i.intent_id = name_by_content.intent_id;
$$;
comment on function app.name_by_content(text) is 'The id that the body of a stored intent asks for: its own. For the law that says so.';

create or replace function app.create_intent(intent jsonb)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  body jsonb;
  id text;
  is_new boolean;
begin
  perform app.check_input('create_intent', create_intent.intent, 'intent');
  body := app.intent_body(create_intent.intent);
  id := app.intent_id(body);
  insert into app.intents (intent_id, body) values (id, body) on conflict do nothing;
  is_new := found;
  return jsonb_build_object('intentId', id, 'isReplay', not is_new);
end
$$;
comment on function app.create_intent(jsonb) is
  'Creates an intent {goal, inputs, constraints, connectors?} and returns {intentId, isReplay}. PT400 lists every faulty field.';
