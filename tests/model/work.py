"""The runners' half of the contract: results and their leases, recovery, heartbeats, what is given back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from . import moves
from .recipes import JSON
from .world import Attempt, Lease, Refused, Run, World

MOST_RECOVERIES = 1


@dataclass(frozen=True)
class Lane:
    """What app.work handed to a worker once; it may be stale by now."""

    run_id: str
    idx: int
    task: str
    number: int
    queue: str
    msg_id: int
    read_ct: int
    worker: str

    def result(self, **more: Any) -> JSON:
        """The result of the lane, SUCCESS unless `more` says otherwise."""
        return {**self.lease(), "attempt": self.number, "status": "SUCCESS", **more}

    def lease(self) -> JSON:
        """The lane as heartbeat and release take it."""
        return {
            "runId": self.run_id,
            "idx": self.idx,
            "taskKey": self.task,
            "queue": self.queue,
            "msgId": self.msg_id,
            "readCt": self.read_ct,
        }


def holder(world: World, worker: str, item: JSON) -> tuple[Run, Attempt] | None:
    """The attempt whose current lease the worker holds by this token."""
    run = world.find(item["runId"])
    for attempt in run.attempts if run else ():
        lease = attempt.lease
        if lease is None or attempt.status != "PENDING":
            continue
        token = (lease.queue, lease.msg_id, lease.read_ct, lease.worker, attempt.idx, attempt.task)
        given = (item["queue"], item["msgId"], item["readCt"], worker, item["idx"], item["taskKey"])
        if token == given and item.get("attempt", attempt.number) == attempt.number:
            assert run is not None
            return run, attempt
    return None


def commit(
    world: World, worker: str, results: Iterable[JSON]
) -> tuple[list[JSON], list[tuple[str, Attempt, Lease, bool]]]:
    """Results are taken, or refused alone. Returns the refused ones, and the lanes whose next step may stay, or has to."""
    refused, lanes, seen = [], [], []
    for result in results:
        if result in seen:
            continue
        seen.append(result)
        found = holder(world, worker, result)
        if found is None:
            refused.append(result)
            continue
        run = world.edit(found[0].run_id)
        attempt = run.at(found[1].spot)
        lease = attempt.lease
        assert lease is not None
        before = len(run.attempts)
        if result["status"] == "SUCCESS":
            moves.succeed(world, run, attempt, result)
        else:
            moves.break_down(world, run, attempt, result)
        for new in run.attempts[before:]:
            if not attempt.task and not new.task and new.idx == attempt.idx + 1 and new.queue == lease.queue:
                firm = not result.get("tasks") and not run.step(new.idx).gate
                lanes.append((run.run_id, new, lease, firm))
    return refused, lanes


def keep_lane(attempt: Attempt, lease: Lease) -> None:
    """The next step stays with the worker, under the same lease, which only heartbeats extend."""
    attempt.begin(lease)


def fire_timers(world: World, skip: Collection[str]) -> None:
    """Everything that is due, in its order; runs that somebody holds are left for the next time."""
    now = world.bottom.clock
    for run_id, run in sorted(world.all_runs().items()):
        if run_id in skip:
            continue
        while due := [t for t in run.timers if t.due <= now]:
            run = world.edit(run_id)
            first = min(due, key=lambda timer: (timer.due, timer.number))
            moves.fire(world, run, next(t for t in run.timers if t.number == first.number))


def recover_leases(world: World, skip: Collection[str], busy: Collection[tuple[str, int]]) -> None:
    """Expired leases are taken over; `busy` are the messages that others have their hands on."""
    for run_id, run in sorted(world.all_runs().items()):
        if run_id not in skip:
            lose_all(
                world, run_id, lambda attempt: _expired(world, attempt), "lease_expired", MOST_RECOVERIES
            )
            continue
        expired = [
            attempt.lease for attempt in run.attempts if attempt.lease and world.expired(attempt.lease)
        ]
        if expired:  # its message is read and given back
            world.locks.add(run_id)
            for lease in expired:
                if lease.place in busy:
                    continue
                world.reads[lease.place] += 1


def _expired(world: World, attempt: Attempt) -> bool:
    return attempt.lease is not None and world.expired(attempt.lease)


def needs_recovery(world: World, run: Run) -> bool:
    """Whether a recovery has something to do for this run."""
    due = any(timer.due <= world.bottom.clock for timer in run.timers)
    return due or any(_expired(world, attempt) for attempt in run.attempts)


def lose_all(world: World, run_id: str, which: Any, code: str, most: int | None) -> int:
    """The chosen attempts of a run lose their lease; how many were held."""
    run = world.look(run_id)
    places = [attempt.spot for attempt in run.attempts if attempt.lease is not None and which(attempt)]
    if not places:
        return 0
    run = world.edit(run_id)
    moves.lose(run, [run.at(place) for place in places], code, most)
    return len(places)


def registered(world: World, name: str) -> None:
    worker = world.worker(name)
    if worker is None or worker.stopped:
        raise Refused("PT404", "worker_not_found")


def heartbeat(world: World, name: str, leases: Sequence[JSON]) -> tuple[dict[Any, str], set[tuple[str, int]]]:
    """Directives by (message, idx): lost, cancel, or maybe where the contract is silent; and the leases extended."""
    registered(world, name)
    directives, extended = {}, set()
    for item in leases:
        place = item["msgId"], item["idx"]
        found = holder(world, name, item)
        if found is None:
            # a beat that crossed the commit of its step: the lane is still there, with the next one
            directives[place] = "maybe" if _went_on(world, name, item) else "lost"
            continue
        extended.add((item["queue"], item["msgId"]))
        if not found[0].live:
            directives[place] = "cancel"
        elif not found[0].awaits(found[1]):
            directives[place] = "maybe"
    return directives, extended


def _went_on(world: World, name: str, item: JSON) -> bool:
    run = world.find(item["runId"])
    return any(
        holder(world, name, {**item, "idx": idx}) for idx in range(len(run.recipe.steps) if run else 0)
    )


def release(world: World, name: str, leases: Sequence[JSON], skip: Collection[str]) -> int:
    """Gives lanes back; how many were held. Of a run that somebody else holds, the lease is over."""
    count = 0
    for item in leases:
        found = holder(world, name, item)
        if found is not None and found[0].run_id in skip:
            assert found[1].lease is not None
            world.expire([found[1].lease])
        elif found is not None:
            place = found[1].spot
            count += lose_all(
                world, found[0].run_id, lambda a, place=place: a.spot == place, "lease_released", None
            )
    return count


def give_back_all(world: World, name: str, code: str, most: int | None, skip: Collection[str]) -> int:
    """Everything a worker holds, as in release."""
    count = 0
    for run_id, run in sorted(world.all_runs().items()):
        if run_id in skip:
            world.expire([a.lease for a in run.attempts if a.lease is not None and a.lease.worker == name])
        else:
            count += lose_all(
                world, run_id, lambda a: a.lease is not None and a.lease.worker == name, code, most
            )
    return count


def in_line(world: World, queue: str, version: str, skip: Collection[str]) -> list[tuple[Run, Attempt]]:
    """What a claim may get, in the order of each partition."""
    waiting = [
        (run, attempt)
        for run_id, run in world.all_runs().items()
        if run_id not in skip and run.live and run.version == version
        for attempt in run.attempts
        if attempt.status == "ENQUEUED" and attempt.queue == queue
    ]
    return sorted(waiting, key=lambda one: (one[0].priority, one[0].seq, one[1].order))
