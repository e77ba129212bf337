-- Gates: where a human decides.
--
--   app.approve_plan(run_id, approved_by, notes, decision, dedupe_key) → {accepted, workflowID, approvedAt, isReplay}
--   app.reply_gate(run_id, gate_key, payload, dedupe_key, origin) → {ok, isReplay}
--
-- A gate opens before the step it guards. A reply that comes earlier is kept and honoured when the gate opens. The same dedupe key with
-- the same payload is a replay, with another payload PT409. An approval gate wants payload.decision: no ends the run in ERROR.
-- Invariant: a gate is answered at most once; a run in WAITING_INPUT has an open gate. Lock order: runs → gates → timers.

create or replace function app.open_gates(run_ids text[], idxs integer[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  gate app.gates;
begin
  perform app.wait_for_gates(run_ids, t);
  for gate in
    insert into app.gates as g (run_id, gate_key, idx, kind, title, status, opened_at, expires_at)
    select r.run_id, c.gate_key, c.idx, c.gate_kind, c.gate_title, 'OPEN', t, t + c.gate_ttl_ms * interval '1 ms'
    from unnest(run_ids, idxs) as e (run_id, idx)
      join app.runs as r on r.run_id = e.run_id join app.recipe_steps as c on c.recipe_id = r.recipe_id and c.idx = e.idx
    on conflict on constraint gates_pkey do update
      set (status, expires_at, answered_at, payload, round, opened_at, closed_at) = (
        select case when k.stays then 'ANSWERED' else 'OPEN' end, case when not k.stays then excluded.expires_at end,
          case when k.stays then g.answered_at end, case when k.stays then g.payload end,
          g.round + case when g.opened_at is not null and not k.stays then 1 else 0 end, t, null::timestamptz
        -- a no that has taken effect is asked again when its run is repaired
        from (select g.status = 'ANSWERED' and (g.opened_at is null or g.kind = 'input' or g.payload ->> 'decision' is distinct from 'no')) as k (stays))
    returning g.*
  loop
    if gate.status = 'ANSWERED' then
      perform app.pass_gate(gate, t);
    elsif gate.expires_at is not null then
      insert into app.timers (kind, run_id, idx, gate_key, fire_at, created_at)
      values ('gate_ttl', gate.run_id, gate.idx, gate.gate_key, gate.expires_at, t);
    end if;
  end loop;
end
$$;
comment on function app.open_gates(text[], integer[], timestamptz) is 'Runs wait at the gate before a step; one that was answered ahead of time is passed at once.';

create or replace function app.pass_gate(gate app.gates, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  if gate.kind = 'approval' and gate.payload ->> 'decision' = 'no' then
    perform app.fail_runs(array[gate.run_id], array[jsonb_build_object('code', 'gate_rejected',
      'message', format('%s was answered no%s', gate.gate_key, coalesce(': ' || (gate.payload ->> 'notes'), '')), 'gateKey', gate.gate_key)], t);
  elsif not exists (select from app.gates as g where g.run_id = gate.run_id and g.status = 'OPEN') then
    perform app.wake_run(gate.run_id, t);
    perform app.enqueue_steps(array[gate.run_id], array[gate.idx], t);
  end if;
end
$$;
comment on function app.pass_gate(app.gates, timestamptz) is 'What an answered gate does to its run: go on, or end in ERROR when the decision is no.';

create or replace function app.expire_gate(run_id text, gate_key text, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.gates as g set status = 'EXPIRED', closed_at = t
  where g.run_id = expire_gate.run_id and g.gate_key = expire_gate.gate_key and g.status = 'OPEN';
  if found then
    perform app.fail_runs(array[expire_gate.run_id], array[jsonb_build_object('code', 'gate_expired',
      'message', format('nobody answered %s in time', expire_gate.gate_key), 'gateKey', expire_gate.gate_key)], t);
  end if;
end
$$;
comment on function app.expire_gate(text, text, timestamptz) is 'A gate whose TTL is over ends its run in ERROR.';

create or replace function app.reply_gate(run_id text, gate_key text, payload jsonb, dedupe_key text, origin text)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz := app.now();
  run app.runs;
  step app.recipe_steps;
  gate app.gates;
  earlier app.gate_replies;
begin
  perform app.check_input('reply_gate', jsonb_build_object('run_id', reply_gate.run_id, 'gate_key', reply_gate.gate_key,
    'payload', reply_gate.payload, 'dedupe_key', reply_gate.dedupe_key, 'origin', reply_gate.origin));
  select r.* into run from app.runs as r where r.run_id = reply_gate.run_id for no key update;
  if not found then
    perform app.check_run(reply_gate.run_id);
  end if;
  select c.* into step from app.recipe_steps as c where c.recipe_id = run.recipe_id and c.gate_key = reply_gate.gate_key;
  if not found then
    perform app.fail('PT404', 'gate_not_found', format('run %s has no gate %s', run.run_id, reply_gate.gate_key), null, format('select app.list_gates(%L)', run.run_id));
  end if;
  if step.gate_kind = 'approval' and coalesce(reply_gate.payload ->> 'decision', '') not in ('yes', 'no') then
    perform app.refuse('reply_gate', '[{"path": "payload.decision", "message": "must be yes or no: the gate asks for approval"}]');
  end if;

  select p.* into earlier from app.gate_replies as p
  where p.run_id = run.run_id and p.gate_key = step.gate_key and p.dedupe_key = reply_gate.dedupe_key;
  if found then
    if earlier.payload <> reply_gate.payload then
      perform app.fail('PT409', 'dedupe_conflict', format('dedupe key %s was used with another payload', earlier.dedupe_key),
        jsonb_build_object('drift', jsonb_build_array(app.drift('payload', earlier.payload, reply_gate.payload))), 'send a new reply under a new dedupe key');
    end if;
    return jsonb_build_object('ok', true, 'isReplay', true, 'repliedAt', app.epoch_ms(earlier.replied_at));
  end if;
  select g.* into gate from app.gates as g where g.run_id = run.run_id and g.gate_key = step.gate_key;
  if gate.status <> 'OPEN' or run.ended_at is not null or gate.expires_at <= t then
    perform app.fail('PT409', 'gate_closed', format('gate %s of run %s is not open', step.gate_key, run.run_id),
      jsonb_build_object('status', coalesce(nullif(gate.status, 'OPEN'), run.status)), format('select app.list_gates(%L)', run.run_id));
  end if;

  insert into app.gates as g (run_id, gate_key, idx, kind, title, status, answered_at, payload)
  values (run.run_id, step.gate_key, step.idx, step.gate_kind, step.gate_title, 'ANSWERED', t, reply_gate.payload)
  on conflict on constraint gates_pkey do update set status = 'ANSWERED', answered_at = t, payload = excluded.payload
  returning * into gate;
  insert into app.gate_replies (run_id, gate_key, dedupe_key, payload, origin, replied_at)
  values (run.run_id, step.gate_key, reply_gate.dedupe_key, reply_gate.payload, reply_gate.origin, t);
  perform app.audit(run.run_id, 'reply', reply_gate.origin, reply_gate.payload ->> 'notes', t,
    jsonb_build_object('gateKey', step.gate_key, 'payload', reply_gate.payload, 'dedupeKey', reply_gate.dedupe_key));
  if gate.opened_at is not null then
    update app.timers as m set closed_at = t
    where m.run_id = run.run_id and m.gate_key = step.gate_key and m.fired_at is null and m.closed_at is null;
    perform app.pass_gate(gate, t);
  end if;
  return jsonb_build_object('ok', true, 'isReplay', false, 'repliedAt', app.epoch_ms(t));
end
$$;
comment on function app.reply_gate(text, text, jsonb, text, text) is
  'Answers a gate, or keeps the answer until the gate opens. Idempotent by dedupe_key. Returns {ok, isReplay, repliedAt}. PT400, PT404 run or gate, PT409 dedupe_conflict or gate_closed.';

create or replace function app.approve_plan(run_id text, approved_by text, notes text default null, decision text default 'yes', dedupe_key text default null)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  reply jsonb;
begin
  perform app.check_input('approve_plan', jsonb_build_object('run_id', approve_plan.run_id, 'approved_by', approve_plan.approved_by,
    'notes', approve_plan.notes, 'decision', approve_plan.decision, 'dedupe_key', approve_plan.dedupe_key));
  reply := app.reply_gate(approve_plan.run_id, 'approve-plan',
    jsonb_strip_nulls(jsonb_build_object('decision', approve_plan.decision, 'approvedBy', approve_plan.approved_by, 'notes', approve_plan.notes)),
    coalesce(approve_plan.dedupe_key, (
      select 'approve-plan#' || g.round from app.gates as g
      where g.run_id = approve_plan.run_id and g.gate_key = 'approve-plan' and g.round > 1), 'approve-plan'), approve_plan.approved_by);
  return jsonb_build_object('accepted', true, 'workflowID', approve_plan.run_id, 'approvedAt', reply -> 'repliedAt', 'isReplay', reply -> 'isReplay');
end
$$;
comment on function app.approve_plan(text, text, text, text, text) is
  'Answers the gate approve-plan: decision yes lets the run go on, no ends it in ERROR with the notes. Returns {accepted, workflowID, approvedAt, isReplay}. Errors as reply_gate.';
