"""A world as `Harness.picture` shows a database."""

from __future__ import annotations

from typing import Any

from .recipes import JSON
from .world import Attempt, Run, World


def picture(world: World) -> JSON:
    """Everything that is compared."""
    parts: JSON = {name: [] for name in ("runs", "steps", "gates", "timers", "leases", "artifacts")}
    for run in world.all_runs().values():
        _run(world, run, parts)
    parts["intents"] = list(world.all_intents())
    parts["receipts"] = [[run_id, task, 1] for run_id, task in world.all_receipts()]
    parts["audits"] = dict(world.all_audits())
    return parts


def _run(world: World, run: Run, parts: JSON) -> None:
    wid = run.run_id
    parts["runs"].append([wid, run.status, run.code, run.version, run.forked_from, run.intent])
    for attempt in run.attempts:
        parts["steps"].append(_step(run, attempt))
        if lease := attempt.lease:
            expired = world.expired(lease)
            parts["leases"].append([*lease.place, world.read_ct(lease), wid, attempt.task, expired])
        parts["artifacts"] += [
            [wid, attempt.idx, attempt.task, attempt.number, name] for name in attempt.artifacts
        ]
    for key, door in run.doors.items():
        parts["gates"].append([wid, key, door.status, door.round])
    for timer in run.timers:
        parts["timers"].append([wid, timer.kind, timer.idx, timer.task, timer.gate])


def _step(run: Run, attempt: Attempt) -> list[Any]:
    lease = attempt.lease
    return [
        run.run_id,
        attempt.idx,
        attempt.task,
        attempt.number,
        attempt.status,
        attempt.queue,
        attempt.cached_from,
        attempt.code if attempt.status == "ERROR" else None,
        [lease.worker, lease.msg_id, lease.read_ct] if lease else None,
        run.open_tasks(attempt) if attempt.waits_for_tasks else None,
    ]
