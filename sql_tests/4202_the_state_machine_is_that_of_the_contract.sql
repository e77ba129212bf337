-- The legal transitions, pinned.
begin;
select plan(3);

select bag_eq($$select entity || ': ' || coalesce(nullif(from_status, ''), 'nothing') || ' → ' || to_status from app.v_state_machine$$, array[
  'run: nothing → ENQUEUED', 'run: ENQUEUED → PENDING', 'run: ENQUEUED → ERROR', 'run: ENQUEUED → CANCELLED',
  'run: PENDING → WAITING_INPUT', 'run: PENDING → SUCCESS', 'run: PENDING → ERROR', 'run: PENDING → CANCELLED', 'run: PENDING → MAX_RECOVERY_ATTEMPTS_EXCEEDED',
  'run: WAITING_INPUT → PENDING', 'run: WAITING_INPUT → ERROR', 'run: WAITING_INPUT → CANCELLED', 'run: WAITING_INPUT → MAX_RECOVERY_ATTEMPTS_EXCEEDED',
  'run: CANCELLED → ENQUEUED', 'run: MAX_RECOVERY_ATTEMPTS_EXCEEDED → ENQUEUED', 'run: ERROR → ENQUEUED',
  'step: nothing → ENQUEUED', 'step: nothing → PENDING', 'step: nothing → SUCCESS', 'step: ENQUEUED → PENDING', 'step: ENQUEUED → CANCELLED',
  'step: PENDING → SUCCESS', 'step: PENDING → ERROR', 'step: PENDING → CANCELLED'], 'every transition, and no other');
select is_empty($$select * from app.v_state_machine where from_status = 'SUCCESS'$$, 'SUCCESS has no door');
select is((select array_agg(action order by from_status) from app.v_state_machine where entity = 'run' and to_status = 'ENQUEUED' and from_status <> ''),
  array['resume', 'repair', 'resume'], 'terminal is final, with two doors: resume and repair');
rollback;
