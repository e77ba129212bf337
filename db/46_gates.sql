-- Gates: where a human decides.
--
--   app.approve_plan(run_id, approved_by, notes, decision, dedupe_key, shown_sha256) → {accepted, workflowID, approvedAt, isReplay, missing?}
--   app.reply_gate(run_id, gate_key, payload, dedupe_key, origin, shown_sha256) → {ok, isReplay, repliedAt, missing?}
--
-- Gates stand before a step, as many as the recipe says, or are opened by a handler. A reply that comes earlier is kept and honoured when
-- the gate opens. The same dedupe key with the same payload is a replay, with another payload PT409. An approval gate wants payload.decision:
-- no ends the run in ERROR (a handler's own gate leaves that to the handler). A quorum counts different people. A reply that says what was
-- shown (shown_sha256) counts for nothing else.
-- Invariant: a gate is answered at most once a round; a run is WAITING_INPUT exactly while it has an open gate. Lock order: runs → gates → timers.
-- Here as in chapter 42: where the run is known, status || '' and coalesce(fired_at, closed_at) keep a plan off the partial indexes of what is
-- open or due, which lead to that of every run.

create or replace function app.shown_sha256(run_id text, shows text[])
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select case when cardinality(shows) > 0 then app.sha256_hex(app.canonical_json(coalesce(jsonb_agg(
    jsonb_build_array(a.step_id, a.task_key, a.idx, a.kind, a.name, a.sha256) order by a.step_idx, a.task_key, a.idx, a.artifact_id), '[]'))) end
  from app.artifacts as a
    join (
      select distinct on (s.idx, s.task_key) s.idx, s.task_key, s.attempt from app.run_steps as s
      where cardinality(shows) > 0 and s.run_id = shown_sha256.run_id and s.step_id = any (shows) and s.status = 'SUCCESS' order by s.idx, s.task_key, s.attempt desc) as s
      on s.idx = a.step_idx and s.task_key = a.task_key and s.attempt = a.attempt
  where cardinality(shows) > 0 and a.run_id = shown_sha256.run_id;
$$;
comment on function app.shown_sha256(text, text[]) is 'sha256 over the artifacts that these steps of a run left, in order; null when there is nothing to show.';

create or replace function app.open_gates(run_ids text[], idxs integer[], t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  step record;
begin
  perform app.wait_for_gates(run_ids, t);
  perform app.ask_at_gates(array(
    select row(r.run_id, c.gate_key, c.idx, c.kind, c.title, 'OPEN', t, t + c.ttl_ms * interval '1 ms', null, null, null, 1, '', c.on_expiry,
      c.expiry_answer, c.shows, app.shown_sha256(r.run_id, c.shows), c.quorum, c.self_approval, false)::app.gates
    from unnest(run_ids, idxs) as e (run_id, idx)
      join app.runs as r on r.run_id = e.run_id join app.recipe_gates as c on c.recipe_id = r.recipe_id and c.idx = e.idx
    order by r.run_id, c.idx, c.position), t);
  for step in
    select e.run_id, e.idx from unnest(run_ids, idxs) as e (run_id, idx)
    where not exists (select from app.gates as g where g.run_id = e.run_id and g.idx = e.idx and not g.from_handler and g.status || '' = 'OPEN')
  loop
    perform app.pass_gates(step.run_id, step.idx, t);
  end loop;
end
$$;
comment on function app.open_gates(text[], integer[], timestamptz) is 'Runs wait at the gates before a step; those that were answered ahead of time are passed at once.';

create or replace function app.counted(gate app.gates, shown_sha256 text)
returns bigint
language sql
stable
parallel safe
security definer
set search_path = ''
as $$
  select case when gate.answered_at is not null and gate.on_expiry = 'answer' and gate.payload = gate.expiry_answer then gate.quorum::bigint
    else (
      select case when bool_or(p.payload ->> 'decision' = 'no' and gate.kind = 'approval') then gate.quorum::bigint else count(distinct p.origin) end
      from app.gate_replies as p
      where p.run_id = gate.run_id and p.gate_key = gate.gate_key and p.round = gate.round
        and (p.shown_sha256 is null or p.shown_sha256 is not distinct from $2)) end;
$$;
comment on function app.counted(app.gates, text) is 'How many replies of this round count for what is shown; a no counts for all.';

create or replace function app.ask_at_gates(asked app.gates[], t timestamptz)
returns void
language sql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
  with gate as (
    insert into app.gates as g select a.* from unnest(asked) as a
    on conflict on constraint gates_pkey do update
      set (status, expires_at, answered_at, payload, round, opened_at, closed_at, shown_sha256) = (
        select case when k.stays then 'ANSWERED' else 'OPEN' end, case when not k.stays then excluded.expires_at end,
          case when k.stays then g.answered_at end, case when k.stays then g.payload end,
          g.round + case when g.opened_at is not null and not k.stays then 1 else 0 end, t, null::timestamptz, excluded.shown_sha256
        -- a no that has taken effect is asked again when its run is repaired, and what was said of something else does not count
        from (select g.status = 'ANSWERED' and (g.opened_at is null or g.kind = 'input' or g.payload ->> 'decision' is distinct from 'no')
          and app.counted(g, excluded.shown_sha256) >= g.quorum) as k (stays))
    returning g.*
  )
  insert into app.timers (kind, run_id, idx, task_key, gate_key, fire_at, created_at)
  select 'gate_ttl', g.run_id, g.idx, g.task_key, g.gate_key, g.expires_at, t from gate as g where g.status = 'OPEN' and g.expires_at is not null;
$$;
comment on function app.ask_at_gates(app.gates[], timestamptz) is 'Opens gates, or opens them again in their next round; one whose answers count already is ANSWERED.';

create or replace function app.pass_gates(run_id text, idx integer, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  no app.gates;
begin
  if exists (select from app.runs as r where r.run_id = pass_gates.run_id and r.ended_at is not null) then
    return; -- another gate ended it
  end if;
  select g.* into no from app.gates as g
  where g.run_id = pass_gates.run_id and g.idx = pass_gates.idx and not g.from_handler and g.kind = 'approval' and g.status = 'ANSWERED'
    and g.payload ->> 'decision' = 'no' order by g.gate_key limit 1;
  if found then
    perform app.fail_runs(array[run_id], array[jsonb_build_object('code', 'gate_rejected',
      'message', format('%s was answered no%s', no.gate_key, coalesce(': ' || (no.payload ->> 'notes'), '')), 'gateKey', no.gate_key)], t);
  elsif not exists (
    select from app.gates as g where g.run_id = pass_gates.run_id and g.idx = pass_gates.idx and not g.from_handler and g.status || '' = 'OPEN')
  then
    perform app.wake_run(run_id, t);
    perform app.advance(app.start_steps(array[run_id], array[idx], t), false, null, t);
  end if;
end
$$;
comment on function app.pass_gates(text, integer, timestamptz) is 'What answered gates do to their step: it begins when none is open any more, or the run ends in ERROR when a decision is no.';

create or replace function app.settle_gate(gate app.gates, t timestamptz)
returns void
language plpgsql
volatile
parallel unsafe
security invoker
set search_path = ''
as $$
begin
  update app.timers as m set closed_at = t
  where m.run_id = gate.run_id and m.gate_key = gate.gate_key and m.kind = 'gate_ttl' and coalesce(m.fired_at, m.closed_at) is null;
  if gate.from_handler then
    perform app.wake_run(gate.run_id, t);
    perform app.unpark(gate.run_id, gate.idx, gate.task_key);
  else
    perform app.pass_gates(gate.run_id, gate.idx, t);
  end if;
end
$$;
comment on function app.settle_gate(app.gates, timestamptz) is 'What an answer does: the step begins, or the handler that waits goes on.';

create or replace function app.expire_gate(run_id text, gate_key text, t timestamptz)
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
  update app.gates as g set
    status = case g.on_expiry when 'answer' then 'ANSWERED' else 'EXPIRED' end, closed_at = case when g.on_expiry <> 'answer' then t end,
    answered_at = case g.on_expiry when 'answer' then t end, payload = case g.on_expiry when 'answer' then g.expiry_answer end
  where g.run_id = expire_gate.run_id and g.gate_key = expire_gate.gate_key and g.status || '' = 'OPEN' and g.expires_at <= t
  returning g.* into gate;
  if not found then
    return;
  elsif gate.on_expiry = 'answer' then
    perform app.settle_gate(gate, t);
  elsif gate.on_expiry = 'cancel' then
    perform app.stop_runs(array[gate.run_id], t);
  else
    perform app.fail_runs(array[gate.run_id], array[jsonb_build_object('code', 'gate_expired',
      'message', format('nobody answered %s in time', gate.gate_key), 'gateKey', gate.gate_key)], t);
  end if;
end
$$;
comment on function app.expire_gate(text, text, timestamptz) is 'A gate whose TTL is over ends its run, in ERROR or CANCELLED, or is answered as its recipe says.';

create or replace function app.find_gate(run app.runs, gate_key text)
returns app.gates
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  gate app.gates;
begin
  select g.* into gate from app.gates as g where g.run_id = run.run_id and g.gate_key = find_gate.gate_key;
  if not found then
    select run.run_id, c.gate_key, c.idx, c.kind, c.title, 'CLOSED', null::timestamptz, null::timestamptz, null::timestamptz, null::timestamptz,
      null::jsonb, 1, '', c.on_expiry, c.expiry_answer, c.shows, null::text, c.quorum, c.self_approval, false
    into gate
    from app.recipe_gates as c where c.recipe_id = run.recipe_id and c.gate_key = find_gate.gate_key;
    if not found then
      perform app.fail('PT404', 'gate_not_found', format('run %s has no gate %s', run.run_id, find_gate.gate_key), null, format('select app.list_gates(%L)', run.run_id));
    end if;
  end if;
  return gate;
end
$$;
comment on function app.find_gate(app.runs, text) is 'A gate of a run as it is, or as the recipe has it when nobody has come to it. PT404.';

create or replace function app.check_reply(run app.runs, gate app.gates, origin text, shown_sha256 text, t timestamptz)
returns void
language plpgsql
stable
parallel unsafe
security invoker
set search_path = ''
as $$
declare
  shown text;
begin
  if not (gate.status = 'OPEN' or (gate.status = 'CLOSED' and gate.opened_at is null)) or run.ended_at is not null or gate.expires_at <= t then
    perform app.fail('PT409', 'gate_closed', format('gate %s of run %s is not open', gate.gate_key, run.run_id),
      jsonb_build_object('status', case when gate.status = 'OPEN' or (gate.status = 'CLOSED' and gate.opened_at is null) then run.status else gate.status end), format('select app.list_gates(%L)', run.run_id));
  elsif not gate.self_approval and run.started_by is not distinct from check_reply.origin then
    perform app.fail('PT403', 'self_approval', format('%s started run %s and may not answer its gate %s', check_reply.origin, run.run_id, gate.gate_key), null,
      'somebody else has to answer');
  elsif gate.quorum > 1 and exists (
    select from app.gate_replies as p
    where p.run_id = gate.run_id and p.gate_key = gate.gate_key and p.round = gate.round and p.origin = check_reply.origin
      and (p.shown_sha256 is null or gate.opened_at is null or p.shown_sha256 is not distinct from gate.shown_sha256))
  then
    perform app.fail('PT409', 'already_replied', format('%s has answered gate %s already', check_reply.origin, gate.gate_key),
      jsonb_build_object('status', gate.status), format('%s different people have to say yes', gate.quorum));
  end if;
  shown := case when gate.status = 'OPEN' then app.shown_sha256(run.run_id, gate.shows) end;
  if gate.status = 'OPEN' and check_reply.shown_sha256 <> coalesce(shown, '') then
    perform app.fail('PT409', 'stale_approval', format('what gate %s shows is not what was approved', gate.gate_key),
      jsonb_build_object('drift', jsonb_build_array(app.drift('shownSha256', shown, check_reply.shown_sha256))), format('look again: select app.list_gates(%L)', run.run_id));
  end if;
end
$$;
comment on function app.check_reply(app.runs, app.gates, text, text, timestamptz) is
  'Raises PT409 when a gate is not open, is shown otherwise or was answered by the same person, PT403 for who may not answer.';

create or replace function app.reply_gate(run_id text, gate_key text, payload jsonb, dedupe_key text, origin text, shown_sha256 text default null)
returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = ''
as $$
declare
  t timestamptz;
  run app.runs;
  gate app.gates;
  earlier app.gate_replies;
  missing bigint;
begin
  perform app.check_input('reply_gate', jsonb_build_object('run_id', reply_gate.run_id, 'gate_key', reply_gate.gate_key, 'payload', reply_gate.payload,
    'dedupe_key', reply_gate.dedupe_key, 'origin', reply_gate.origin, 'shown_sha256', reply_gate.shown_sha256));
  select r.* into run from app.runs as r where r.run_id = reply_gate.run_id for no key update;
  if not found then
    perform app.check_run(reply_gate.run_id);
  end if;
  t := app.now();   -- behind the lock: while it waited the gate may have opened, or its time may have run out
  gate := app.find_gate(run, reply_gate.gate_key);
  if gate.kind = 'approval' and coalesce(reply_gate.payload ->> 'decision', '') not in ('yes', 'no') then
    perform app.refuse('reply_gate', '[{"path": "payload.decision", "message": "must be yes or no: the gate asks for approval"}]');
  end if;
  select p.* into earlier from app.gate_replies as p
  where p.run_id = run.run_id and p.gate_key = gate.gate_key and p.dedupe_key = reply_gate.dedupe_key;
  if found then
    if earlier.payload <> reply_gate.payload then
      perform app.fail('PT409', 'dedupe_conflict', format('dedupe key %s was used with another payload', earlier.dedupe_key),
        jsonb_build_object('drift', jsonb_build_array(app.drift('payload', earlier.payload, reply_gate.payload))), 'send a new reply under a new dedupe key');
    end if;
    return jsonb_build_object('ok', true, 'isReplay', true, 'repliedAt', app.epoch_ms(earlier.replied_at));
  end if;
  perform app.check_reply(run, gate, reply_gate.origin, reply_gate.shown_sha256, t);

  insert into app.gates select gate.* on conflict on constraint gates_pkey do nothing;
  insert into app.gate_replies (run_id, gate_key, dedupe_key, payload, origin, replied_at, shown_sha256, round)
  values (run.run_id, gate.gate_key, reply_gate.dedupe_key, reply_gate.payload, reply_gate.origin, t, reply_gate.shown_sha256, gate.round);
  missing := greatest(0, gate.quorum - app.counted(gate, coalesce(gate.shown_sha256, reply_gate.shown_sha256)));
  if missing = 0 then
    update app.gates as g set status = 'ANSWERED', answered_at = t, payload = reply_gate.payload where g.run_id = gate.run_id and g.gate_key = gate.gate_key
    returning g.* into gate;
  end if;
  perform app.audit(run.run_id, 'reply', reply_gate.origin, reply_gate.payload ->> 'notes', t, jsonb_build_object('gateKey', gate.gate_key,
    'payload', reply_gate.payload, 'dedupeKey', reply_gate.dedupe_key) || jsonb_strip_nulls(jsonb_build_object('shownSha256', coalesce(reply_gate.shown_sha256, gate.shown_sha256))));
  if missing = 0 and gate.opened_at is not null then
    perform app.settle_gate(gate, t);
  end if;
  return jsonb_build_object('ok', true, 'isReplay', false, 'repliedAt', app.epoch_ms(t)) || case when missing > 0 then jsonb_build_object('missing', missing) else '{}' end;
end
$$;
comment on function app.reply_gate(text, text, jsonb, text, text, text) is
  'Answers a gate, or keeps the answer until the gate opens. Idempotent by dedupe_key. shown_sha256: what the sender saw (list_gates has it); the answer counts for nothing else. Returns {ok, isReplay, repliedAt, missing?}; missing: how many more have to say yes. PT400, PT403 self_approval, PT404 run or gate, PT409 dedupe_conflict, gate_closed, stale_approval or already_replied.';

create or replace function app.approval_key(run_id text, approved_by text, shown_sha256 text)
returns text
language sql
stable
parallel safe
security invoker
set search_path = ''
as $$
  select coalesce(
    (select min(p.dedupe_key) from app.gate_replies as p
     where p.run_id = g.run_id and p.gate_key = g.gate_key and p.round = g.round and p.origin = approved_by and p.shown_sha256 is not distinct from $3),
    'approve-plan' || case when g.round > 1 then '#' || g.round else '' end
      || case when g.quorum > 1 then '/' || case when length(approved_by) > 200 then app.sha256_hex(approved_by) else approved_by end else '' end
      -- somebody answered what was shown otherwise: that counts for nothing, and must not stand in the way
      || case when exists (
        select from app.gate_replies as p where p.run_id = g.run_id and p.gate_key = g.gate_key and p.round = g.round and p.shown_sha256 <> g.shown_sha256)
        then '@' || left(coalesce($3, 'any'), 16) else '' end)
  from app.runs as r cross join lateral app.find_gate(r, 'approve-plan') as g where r.run_id = approval_key.run_id;
$$;
comment on function app.approval_key(text, text, text) is 'The dedupe key of an approval that has none: the one it had before, or one for the round, with a quorum for the person, and beside stale approvals for what is shown.';

create or replace function app.approve_plan(run_id text, approved_by text, notes text default null, decision text default 'yes', dedupe_key text default null,
  shown_sha256 text default null)
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
  perform app.check_input('approve_plan', jsonb_build_object('run_id', approve_plan.run_id, 'approved_by', approve_plan.approved_by, 'notes', approve_plan.notes,
    'decision', approve_plan.decision, 'dedupe_key', approve_plan.dedupe_key, 'shown_sha256', approve_plan.shown_sha256));
  -- first: the key is that of the round, and while this waits the gate may be asked again
  perform from app.runs as r where r.run_id = approve_plan.run_id for no key update;
  reply := app.reply_gate(approve_plan.run_id, 'approve-plan',
    jsonb_strip_nulls(jsonb_build_object('decision', approve_plan.decision, 'approvedBy', approve_plan.approved_by, 'notes', approve_plan.notes)),
    coalesce(approve_plan.dedupe_key, app.approval_key(approve_plan.run_id, approve_plan.approved_by, approve_plan.shown_sha256), 'approve-plan'),
    approve_plan.approved_by, approve_plan.shown_sha256);
  return jsonb_build_object('accepted', true, 'workflowID', approve_plan.run_id, 'approvedAt', reply -> 'repliedAt', 'isReplay', reply -> 'isReplay')
    || case when reply ? 'missing' then jsonb_build_object('missing', reply -> 'missing') else '{}' end;
end
$$;
comment on function app.approve_plan(text, text, text, text, text, text) is
  'Answers the gate approve-plan: decision yes lets the run go on, no ends it in ERROR with the notes. shown_sha256 binds it to what was shown. Returns {accepted, workflowID, approvedAt, isReplay, missing?}. Errors as reply_gate.';
