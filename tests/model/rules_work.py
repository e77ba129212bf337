"""Rules: what workers do, well and badly: claims, results, stale results, heartbeats, restarts, and what becomes of their leases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any

from . import work
from .actions import action, any_of, between, either, fields, several
from .harness import Answer
from .machine import QUEUE_NAMES, VERSION_OF, Machine, Mismatch
from .recipes import JSON
from .rules_start import CALLER
from .work import Lane
from .world import Lease, World

WORKERS = tuple(VERSION_OF)
WORKER = any_of(WORKERS)
PICK = between(0, 9999)
QUEUES = fields({"intentQ": between(0, 3)}, optional={"sbxQ": between(0, 4), "controlQ": between(0, 2)})
WORK = """
select outcome, run_id, step_id, idx, task_key, attempt, queue_name, msg_id, read_ct, handler, context, reason
from app.work(%s, %s, %s)
"""
RESULTS = any_of(["done", "infra", "done", "made", "none", "always", "infra", "broken", "never"])
# few, sometimes one twice; five are more than any recipe allows
TASKS = any_of([[1, 2], [1], [1, 2, 3], [2, 1], [2, 3, 2], [1, 2, 3, 4], [3], [1, 2, 3, 4, 5], [1, 2]])
ERRORS: dict[str, JSON] = {
    "infra": {"code": "infra", "message": "m"},
    "broken": {"code": "broken", "message": "m"},
    "never": {"code": "infra", "message": "m", "retryable": False},
    "always": {"code": "odd", "message": "m", "retryable": True, "details": {"a": [1]}},
}


class WorkRules(Machine):
    # --- claims -----------------------------------------------------------------------------------------------------

    @action(weight=2, caller=CALLER, worker=WORKER, queues=QUEUES)
    def claim(self, caller: int, worker: str, queues: dict[str, int]) -> None:
        self.work("claim", caller, worker, [], queues=queues)

    @action(weight=3, caller=CALLER, worker=WORKER, pick=PICK)
    def claim_what_waits(self, caller: int, worker: str, pick: int) -> None:
        """A claim on a queue that has something for this worker."""
        queues = [q for q in QUEUE_NAMES if self.waiting(caller, worker, q)]
        if queues:
            self.work("claim", caller, worker, [], queues={queues[pick % len(queues)]: 1 + pick % 3})

    def waiting(self, caller: int, worker: str, queue: str) -> bool:
        return bool(work.in_line(self.view(caller), queue, VERSION_OF[worker], ()))

    @action(caller=CALLER, worker=WORKER, queues=either(any_of([{}]), QUEUES))
    def recover(self, caller: int, worker: str, queues: dict[str, int]) -> None:
        self.work("recover", caller, worker, [], queues=queues, recover=True)

    # --- results ----------------------------------------------------------------------------------------------------

    def lanes(self, caller: int) -> list[Lane]:
        """The lanes under a lease, as a caller sees them."""
        return [
            Lane(
                run.run_id,
                a.idx,
                a.task,
                a.number,
                a.lease.queue,
                a.lease.msg_id,
                a.lease.read_ct,
                a.lease.worker,
            )
            for run in self.view(caller).all_runs().values()
            for a in run.attempts
            if a.lease
        ]

    def result(self, caller: int, lane: Lane, kind: str, tasks: list[int]) -> JSON:
        """What a handler says of its lane."""
        if kind in ERRORS:
            return lane.result(status="ERROR", error=ERRORS[kind])
        run = self.view(caller).find(lane.run_id)
        more: JSON = {"output": {"by": lane.worker, "attempt": lane.number}}
        if lane.task:
            more["receipt"] = True
        elif run and run.step(lane.idx).fan:
            more["tasks"] = [] if kind == "none" else tasks
        if kind == "made" and not more.get("tasks"):
            more["artifacts"] = [
                {"kind": "file", "name": "f", "body": "aGk="},
                {"kind": "decision", "name": "d", "inline": {"n": lane.idx}},
            ]
        return lane.result(**more)

    @action(
        weight=5,
        when=lambda self: self.lanes(0),
        caller=CALLER,
        picks=several(PICK, at_least=1, at_most=3),
        kind=RESULTS,
        tasks=TASKS,
        drain=any_of([False, True]),
        recover=any_of([False, True]),
        queues=either(any_of([{}]), any_of([{}]), QUEUES),
    )
    def finish(
        self,
        caller: int,
        picks: list[int],
        kind: str,
        tasks: list[int],
        drain: bool,
        recover: bool,
        queues: dict[str, int],
    ) -> None:
        """Results of lanes that are held; the first in the chosen manner, the others well."""
        lanes = self.lanes(caller)
        if not lanes:
            return
        worker = lanes[picks[0] % len(lanes)].worker
        mine = [lane for lane in lanes if lane.worker == worker]
        first = lanes[picks[0] % len(lanes)]
        chosen = list(dict.fromkeys([first, *(mine[pick % len(mine)] for pick in picks[1:])]))
        results = [self.result(caller, lane, kind if lane == first else "done", tasks) for lane in chosen]
        self.work("finish", caller, worker, results, queues=queues, drain=drain, recover=recover)

    @action(weight=2, when=lambda self: self.lanes(0), caller=CALLER, pick=PICK, tasks=TASKS)
    def finish_one(self, caller: int, pick: int, tasks: list[int]) -> None:
        lanes = self.lanes(caller)
        if lanes:
            lane = lanes[pick % len(lanes)]
            self.work("finish", caller, lane.worker, [self.result(caller, lane, "done", tasks[:2])])

    @action(
        weight=3,
        when=lambda self: self.lanes(0),
        caller=CALLER,
        pick=PICK,
        wrong=any_of(["msgId", "readCt", "worker", "attempt", "twice", "queue", "idx"]),
    )
    def finish_wrongly(self, caller: int, pick: int, wrong: str) -> None:
        """A token that is wrong in one part, or the same result twice in one call."""
        lanes = self.lanes(caller)
        if not lanes:
            return
        lane = lanes[pick % len(lanes)]
        result = self.result(caller, lane, "done", [1])
        worker = next(w for w in WORKERS if w != lane.worker) if wrong == "worker" else lane.worker
        if wrong == "queue":
            result["queue"] = "controlQ" if lane.queue != "controlQ" else "sbxQ"
        elif wrong in result:
            result[wrong] += 1
        self.work("finish wrongly", caller, worker, [result, result] if wrong == "twice" else [result])

    @action(
        weight=2,
        when=lambda self: self.history,
        caller=CALLER,
        pick=between(0, 400),
        kind=RESULTS,
        with_good=any_of([False, True]),
    )
    def finish_late(self, caller: int, pick: int, kind: str, with_good: bool) -> None:
        """A result of any lane that was ever handed out, alone or with one that is held."""
        late = self.history[pick % len(self.history)]
        results = [self.result(caller, late, kind, [1, 2])]
        good = [lane for lane in self.lanes(caller) if lane.worker == late.worker and lane != late]
        if with_good and good:
            results.append(self.result(caller, good[0], "done", [1, 2]))
        self.work("finish late", caller, late.worker, results)

    @action(
        weight=3,
        when=lambda self: self.lanes(0),
        caller=CALLER,
        pick=PICK,
        kind=any_of(["infra", "always"]),
    )
    def fail_again(self, caller: int, pick: int, kind: str) -> None:
        """A step or task that has failed before fails once more."""
        view = self.view(caller)
        lanes = [
            lane
            for lane in self.lanes(caller)
            if any(a.status == "ERROR" for a in view.look(lane.run_id).tries(lane.idx, lane.task))
        ]
        if lanes:
            lane = lanes[pick % len(lanes)]
            self.work("finish", caller, lane.worker, [self.result(caller, lane, kind, [])])

    def work(self, action: str, caller: int, worker: str, results: Sequence[JSON], **want: Any) -> None:
        """One call of app.work, in any of the ways it may have gone."""
        given: JSON = {"appVersion": VERSION_OF[worker], **want}
        settle = [
            lambda world, answer, order=order, skip=skip: self._settle(
                world, answer, caller, worker, results, given, order, skip
            )
            for order in (("timers", "leases"), ("leases", "timers"))[: 2 if want.get("recover") else 1]
            for skip in (self._left_alone(caller) if want.get("recover") else [set()])
        ]
        answer = self.perform(
            action, caller, WORK, [worker, list(results), given], *settle,
            targets=[*(one["runId"] for one in results), *self._claimed_by_others(caller, want)],
        )  # fmt: skip
        for row in answer.rows if answer else ():
            if row[0] != "refused":
                self.history.append(Lane(row[1], row[3], row[4], row[5], row[6], row[7], row[8], worker))

    def _busy_messages(self, caller: int) -> set[tuple[str, int]]:
        """Messages that the open transactions of others have deleted or read."""
        busy: set[tuple[str, int]] = set()
        for one, world in self.open.items():
            if one != caller:
                busy |= set(world.reads)
                for run_id, run in world.runs.items():
                    before = self.base.find(run_id)
                    left = {a.lease.place for a in run.attempts if a.lease}
                    busy |= {a.lease.place for a in before.attempts if a.lease} - left if before else set()
        return busy

    def _left_alone(self, caller: int) -> list[set[str]]:
        """The runs that a recovery may have to leave alone: those that others changed, and some that they may hold."""
        changed, view = self.others(caller, touched=True), self.view(caller)
        perhaps = [
            run_id
            for run_id in sorted(self.others(caller) - changed)
            if (run := view.find(run_id)) and work.needs_recovery(view, run)
        ]
        some = [set(chosen) for n in range(len(perhaps) + 1) for chosen in combinations(perhaps[:4], n)]
        return [changed | chosen for chosen in some]

    def _claimed_by_others(self, caller: int, want: JSON) -> list[str]:
        """What a recovery may have to wait for: it may end a run one of whose steps somebody is just claiming."""
        others = [world for one, world in self.open.items() if one != caller and want.get("recover")]
        return [run_id for world in others for run_id in world.claims]

    def _settle(
        self,
        world: World,
        answer: Answer,
        caller: int,
        worker: str,
        results: Sequence[JSON],
        want: JSON,
        order: Sequence[str],
        skip: Collection[str],
    ) -> None:
        """The call in the model; what the contract leaves open is taken from the rows that came back."""
        if any(want.get("queues", {}).values()):
            work.registered(world, worker)
        refused, lanes = work.commit(world, worker, results)
        given = [row for row in answer.rows if row[0] == "refused"]
        if sorted(row[7] for row in given) != sorted(one["msgId"] for one in refused):
            raise Mismatch(f"refused {given}, the model refuses {refused}")
        self._continue(world, answer, lanes, bool(want.get("drain")))
        if want.get("recover"):
            for what in order:
                if what == "timers":
                    work.fire_timers(world, skip)
                else:
                    work.recover_leases(world, skip, self._busy_messages(caller))
        for queue, count in want.get("queues", {}).items():
            rows = [row for row in answer.rows if row[0] == "assigned" and row[6] == queue]
            self._assign(world, rows, caller, worker, queue, count, want["appVersion"])
        claimed = {queue for queue, count in want.get("queues", {}).items() if count}
        if any(row[0] == "assigned" and row[6] not in claimed for row in answer.rows):
            raise Mismatch("lanes that nobody asked for")

    def _continue(self, world: World, answer: Answer, lanes: Sequence[Any], drain: bool) -> None:
        continued = {(row[1], row[3]): row for row in answer.rows if row[0] == "continued"}
        for run_id, attempt, lease, firm in lanes:
            row = continued.pop((run_id, attempt.idx), None)
            if row is None:
                if firm and not drain:
                    raise Mismatch(f"the lane of {run_id} should have gone on with step {attempt.idx}")
                continue
            if drain or (row[5], row[6], row[7], row[8]) != (
                attempt.number,
                lease.queue,
                lease.msg_id,
                lease.read_ct,
            ):
                raise Mismatch(f"a lane went on otherwise: {row}")
            work.keep_lane(attempt, lease)
        if continued:
            raise Mismatch(f"lanes went on that should not: {continued}")

    def _assign(
        self,
        world: World,
        rows: Sequence[Any],
        caller: int,
        worker: str,
        queue: str,
        count: int,
        version: str,
    ) -> None:
        """Any choice is right that takes what waits, in order, and leaves no partition out."""
        alone = not self.others(caller)
        held = self.others(caller, touched=True)
        first = {run_id for run_id in held if world.find(run_id) and world.look(run_id).status == "ENQUEUED"}
        line = work.in_line(world, queue, version, first)
        keys = [(run.run_id, attempt.idx, attempt.task, attempt.number) for run, attempt in line]
        taken = [(row[1], row[3], row[4], row[5]) for row in rows]
        if len(set(taken)) != len(taken) or not set(taken) <= set(keys) or len(taken) > count:
            raise Mismatch(f"claimed {taken} of {keys}, at most {count}")
        if alone:
            self._fair(line, keys, taken, queue, count)
        for row in rows:
            self._context(world, row)
            world.claim(row[1], (row[3], row[4], row[5]), Lease(queue, row[7], row[8], worker, world.beat()))

    @staticmethod
    def _fair(line: Sequence[Any], keys: Sequence[Any], taken: Sequence[Any], queue: str, count: int) -> None:
        partitions: dict[str, list[Any]] = {}
        for (run, _), key in zip(line, keys, strict=True):
            partitions.setdefault(run.partition, []).append(key)
        for name, waiting in partitions.items():
            mine = [key for key in waiting if key in taken]
            if mine != waiting[: len(mine)]:
                raise Mismatch(f"partition {name} of {queue}: {mine} taken before their turn: {waiting}")
            if not mine and count >= len(partitions):
                raise Mismatch(f"partition {name} of {queue} was left out")
        if len(partitions) == 1 and len(taken) != min(count, len(keys)):
            raise Mismatch(f"{len(taken)} of {len(keys)} steps claimed, {count} wanted")

    @staticmethod
    def _context(world: World, row: Sequence[Any]) -> None:
        """A new lane comes with the outputs and answers so far, and its task."""
        run, context = world.look(row[1]), row[10]
        outputs = {}
        for idx in range(row[3]):
            before = run.succeeded(idx)
            if before is None:
                raise Mismatch(f"step {row[3]} is claimed before step {idx} has succeeded")
            outputs[run.step(idx).step_id] = before.output
        seen = context["outputs"]
        for step_id, output in list(seen.items()):
            if isinstance(output, dict) and "tasks" in output:
                seen[step_id] = {**output, "tasks": [task["output"] for task in output["tasks"]]}
        if seen != outputs:
            raise Mismatch(f"the context has {seen}, the steps gave {outputs}")
        attempt = run.at((row[3], row[4], row[5]))
        if context["task"] != attempt.body:
            raise Mismatch(f"the task {context['task']} should be {attempt.body}")
        for key, door in run.doors.items():
            if door.status == "ANSWERED" and door.idx <= row[3] and context["gates"].get(key) != door.payload:
                raise Mismatch(f"the context has {context['gates']}, gate {key} was answered {door.payload}")
        handler = "t/task" if row[4] else f"t/{row[2]}"
        if row[9] != handler:
            raise Mismatch(f"handler {row[9]} instead of {handler}")
