"""How runs move, as docs and contract say it: the next step, retries, the join of tasks, the end, and what reopens a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .recipes import JSON, Retry, task_key
from .world import Attempt, Door, Run, Timer, World


def policy(run: Run, attempt: Attempt) -> Retry:
    """The retry policy of an attempt: a task has that of the fan-out."""
    step = run.step(attempt.idx)
    return (step.fan or Retry()) if attempt.task else step.retry


def enqueue(run: Run, idx: int, task: str = "", order: int = -1, body: Any = None) -> Attempt:
    """A new attempt in line."""
    number = len(run.tries(idx, task)) + 1
    attempt = Attempt(
        idx,
        task,
        number,
        "ENQUEUED",
        "sbxQ" if task else run.step(idx).queue,
        order=order,
        body=body,
        born=run.epoch,
    )
    run.attempts.append(attempt)
    return attempt


def again(run: Run, attempt: Attempt) -> Attempt:
    """The next attempt of the same step or task, in line."""
    return enqueue(run, attempt.idx, attempt.task, attempt.order, attempt.body)


def enter(world: World, run: Run, idx: int) -> None:
    """The run comes to a step: it goes in line, or waits at the gate, or a no ends it."""
    gate = run.step(idx).gate
    if gate is None:
        enqueue(run, idx)
        return
    door = run.doors.get(gate.key)
    if door is None or door.status != "ANSWERED":
        open_door(world, run, gate.key)
    elif says_no(run, gate.key):
        fail(run, "gate_rejected")
    else:
        run.status = "PENDING"
        enqueue(run, idx)


def open_door(world: World, run: Run, key: str) -> None:
    """The gate asks, for the first time or again."""
    found = run.recipe.gate(key)
    assert found is not None
    idx, gate = found
    before = run.doors.get(key)
    expires = world.bottom.clock + gate.ttl if gate.ttl else None
    run.doors[key] = Door(idx, "OPEN", before.round + 1 if before else 1, None, expires)
    run.status = "WAITING_INPUT"
    if expires is not None:
        run.timers.append(Timer("gate_ttl", expires, world.number(), gate=key))


def says_no(run: Run, key: str) -> bool:
    found = run.recipe.gate(key)
    payload = run.doors[key].payload
    return (
        found is not None
        and found[1].kind == "approval"
        and payload is not None
        and payload["decision"] == "no"
    )


def end(run: Run, status: str, code: str | None = None) -> None:
    """The run is over: nothing of it can start any more, what is in flight may commit."""
    run.status, run.code = status, code
    run.timers.clear()
    for door in run.doors.values():
        if door.status == "OPEN":
            door.status, door.expires = "CLOSED", None
    for attempt in run.attempts:
        if attempt.status == "ENQUEUED" or attempt.waits_for_tasks:
            attempt.status = "CANCELLED"


def fail(run: Run, code: str) -> None:
    end(run, "ERROR", code)


def advance(world: World, run: Run, idx: int) -> None:
    """A step succeeded: the next one, or the end."""
    if run.live:
        if idx == run.recipe.last:
            end(run, "SUCCESS")
        else:
            enter(world, run, idx + 1)


def succeed(world: World, run: Run, attempt: Attempt, result: JSON) -> None:
    """A SUCCESS that was accepted."""
    tasks = result.get("tasks") or []
    if tasks and (fault := unwelcome(run, attempt, len(tasks))):
        give_up(world, run, attempt, fault)
        return
    if tasks and not run.live:
        attempt.status, attempt.lease = "CANCELLED", None
        return
    attempt.output = result.get("output")
    if tasks:
        fan_out(world, run, attempt, tasks)
        return
    attempt.status, attempt.lease = "SUCCESS", None
    attempt.artifacts = tuple(a["name"] for a in result.get("artifacts", ())) or ("none",)
    if attempt.task:
        if result.get("receipt"):
            world.receipts.add((run.run_id, attempt.task))
        join(world, run, attempt)
    else:
        advance(world, run, attempt.idx)


def unwelcome(run: Run, attempt: Attempt, count: int) -> str | None:
    """Why a step may not make so many tasks; tasks of other steps and all attempts use up the budget, too."""
    if attempt.task or run.step(attempt.idx).fan is None:
        return "tasks_not_expected"
    if count > run.step(attempt.idx).most:
        return "too_many_tasks"
    budget = run.options.get("budget") or {}
    made = len({(a.idx, a.task) for a in run.attempts if a.task and a.idx != attempt.idx})
    if made + count > budget.get("tasks", made + count):
        return "budget_violation"
    used = attempts_used(run)
    return "budget_violation" if used + count > budget.get("attempts", used + count) else None


def attempts_used(run: Run) -> int:
    return sum(not attempt.lost for attempt in run.attempts)


def fan_out(world: World, run: Run, parent: Attempt, tasks: list[Any]) -> None:
    """The step waits for its tasks; what succeeded before is not run again, what is in flight is waited for."""
    step_id = run.step(parent.idx).step_id
    bodies = {task_key(run.run_id, step_id, task): task for task in reversed(tasks)}
    keys = list(dict.fromkeys(task_key(run.run_id, step_id, task) for task in tasks))
    parent.lease, parent.wanted = None, tuple(keys)
    for order, key in enumerate(keys):
        latest = run.latest(parent.idx, key)
        if not run.succeeded(parent.idx, key) and (
            latest is None or latest.status not in ("ENQUEUED", "PENDING")
        ):
            enqueue(run, parent.idx, key, order, bodies[key])
    if not run.open_tasks(parent):
        end_parent(world, run, parent)


def join(world: World, run: Run, task: Attempt) -> None:
    """A task is final: its step is over when it was the last."""
    parent = run.latest(task.idx)
    waited_for = parent is not None and parent.waits_for_tasks and task.task in parent.wanted
    if parent is not None and waited_for and not run.open_tasks(parent):
        end_parent(world, run, parent)


def end_parent(world: World, run: Run, parent: Attempt) -> None:
    """SUCCESS when every task succeeded, else ERROR with the first failure."""
    failed = [key for key in parent.wanted if not run.succeeded(parent.idx, key)]
    if not failed:
        outputs = [run.succeeded(parent.idx, key) for key in parent.wanted]
        parent.output = {"output": parent.output, "tasks": [done.output for done in outputs if done]}
        parent.status = "SUCCESS"
        advance(world, run, parent.idx)
        return
    first = run.latest(parent.idx, failed[0])
    assert first is not None
    parent.status, parent.code = "ERROR", first.code
    if run.live:
        fail(run, str(first.code))


def give_up(world: World, run: Run, attempt: Attempt, code: str) -> None:
    """An attempt failed for good."""
    attempt.status, attempt.code, attempt.lease, attempt.epoch = "ERROR", code, None, run.epoch
    if attempt.task:
        join(world, run, attempt)
    elif run.live:
        fail(run, code)


def break_down(world: World, run: Run, attempt: Attempt, result: JSON) -> None:
    """An ERROR that was accepted: tried again when it may be, else final."""
    error = result["error"]
    attempt.artifacts = tuple(a["name"] for a in result.get("artifacts", ()))
    retry = policy(run, attempt)
    attempt.status, attempt.code, attempt.lease, attempt.epoch = "ERROR", error["code"], None, run.epoch
    used = sum(
        1
        for a in run.tries(attempt.idx, attempt.task)
        if a.status == "ERROR" and not a.lost and counts(run, a)
    )
    by_code = error["code"] == "infra" and (bool(attempt.task) or retry != Retry())
    retryable = error.get("retryable", by_code)
    within = attempts_used(run) < (run.options.get("budget") or {}).get("attempts", 1000)
    if not (run.live and retryable and used < retry.attempts and within and run.awaits(attempt)):
        give_up(world, run, attempt, error["code"])
    elif wait := retry.wait(used):
        due = world.bottom.clock + wait
        run.timers.append(Timer("retry", due, world.number(), attempt.idx, attempt.task))
    else:
        again(run, attempt)


def counts(run: Run, failed: Attempt) -> bool:
    """Whether a failure is one since the run was last reopened."""
    return failed.epoch == run.epoch


def lose(run: Run, attempts: list[Attempt], code: str, most: int | None) -> int:
    """Workers lost these attempts at once, or gave them back; `most` recoveries in a row are allowed, None does not count.

    Returns how many go on, or would if they had not been lost too often.
    """
    goes_on = [attempt for attempt in attempts if run.live and run.awaits(attempt)]
    for attempt in attempts:
        attempt.lease, attempt.status = None, "CANCELLED"
    for attempt in goes_on:
        attempt.status, attempt.code, attempt.lost, attempt.epoch = "ERROR", code, True, run.epoch
    poisoned = [attempt for attempt in goes_on if most is not None and in_a_row(run, attempt) > most]
    for attempt in goes_on:
        if attempt not in poisoned:
            again(run, attempt)
    for attempt in poisoned:
        attempt.code = "max_recovery_attempts_exceeded"
    if poisoned:
        end(run, "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "max_recovery_attempts_exceeded")
    return len(goes_on)


def in_a_row(run: Run, attempt: Attempt) -> int:
    """How many times in a row the step lost its worker."""
    count = 0
    for one in reversed(run.tries(attempt.idx, attempt.task)):
        if one.code != "lease_expired":
            break
        count += 1
    return count


def fire(world: World, run: Run, timer: Timer) -> None:
    """What one due timer does."""
    run.timers.remove(timer)
    if timer.kind == "run_timeout":
        fail(run, "run_timeout")
    elif timer.kind == "gate_ttl":
        door = run.doors[str(timer.gate)]
        door.status, door.expires = "EXPIRED", None
        fail(run, "gate_expired")
    else:
        assert timer.idx is not None
        failed = run.latest(timer.idx, timer.task)
        assert failed is not None
        again(run, failed)


def start_timeout(world: World, run: Run) -> None:
    """The run's timeout, from now on."""
    if ticks := run.options.get("timeout"):
        run.timers.append(Timer("run_timeout", world.bottom.clock + ticks, world.number()))


def reopen(world: World, run: Run, asks_again: bool) -> None:
    """A run that was over goes on at its last checkpoint; `asks_again`: a gate that said no opens anew."""
    run.status, run.code, run.epoch = "ENQUEUED", None, run.epoch + 1
    idx = run.checkpoint()
    if idx is None:
        end(run, "SUCCESS")
        return
    start_timeout(world, run)
    latest = run.latest(idx)
    if latest is not None and latest.lease is not None:
        run.status = "PENDING"
    elif latest is not None:
        enqueue(run, idx)
    else:
        gate = run.step(idx).gate
        if gate and asks_again and gate.key in run.doors and says_no(run, gate.key):
            open_door(world, run, gate.key)
        else:
            enter(world, run, idx)


def fork(world: World, source: Run, run_id: str, step_n: int, seq: int) -> Run:
    """A run of its own: finished steps before `step_n` and the gates passed up to it are reused."""
    run = replace(
        source,
        run_id=run_id,
        options=dict(source.options),
        seq=seq,
        status="ENQUEUED",
        code=None,
        epoch=0,
        forked_from=source.run_id,
        root=source.root or source.run_id,
        attempts=[],
        doors={},
        timers=[],
        replies={},
        signed={},
    )
    for attempt in source.attempts:
        if attempt.idx < step_n and attempt.status == "SUCCESS":
            run.attempts.append(replace(attempt, cached_from=attempt.cached_from or source.run_id))
    for key, door in source.doors.items():
        if door.idx <= step_n and door.status == "ANSWERED" and not says_no(source, key):
            run.doors[key] = replace(door, expires=None)
    run.replies = {place: payload for place, payload in source.replies.items() if place[0] in run.doors}
    run.signed = {key: signed for key, signed in source.signed.items() if "approve-plan" in run.doors}
    start_timeout(world, run)
    enter(world, run, step_n)
    return run
