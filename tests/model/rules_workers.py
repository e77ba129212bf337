"""Rules: signs of life, restarts, what is given back, leases that run out."""

from __future__ import annotations

from typing import Any

from . import work
from .actions import action, any_of, several
from .harness import Answer
from .machine import QUEUE_NAMES, VERSION_OF, Mismatch
from .recipes import JSON
from .rules_start import CALLER
from .rules_work import PICK, WORKER, WORKERS, WorkRules
from .work import Lane
from .world import Refused, Worker, World


class WorkerRules(WorkRules):
    def _some(self, picks: list[int], mine: str) -> list[Lane]:
        """Lanes that are held, or were handed out once; mostly those of one worker."""
        held = self.lanes(0)
        lanes = [lane for lane in held if lane.worker == mine and picks[0] % 3] or [*held, *self.history]
        chosen = list(dict.fromkeys(lanes[pick % len(lanes)] for pick in picks))
        own = [lane for lane in chosen if lane.worker == mine]
        return own or chosen

    @action(
        weight=2,
        when=lambda self: self.history,
        caller=CALLER,
        worker=WORKER,
        picks=several(PICK, at_least=1, at_most=4),
    )
    def heartbeat(self, caller: int, worker: str, picks: list[int]) -> None:
        caller, lanes = self.free(caller), self._some(picks, worker)
        leases = [lane.lease() for lane in lanes]
        extended: set[tuple[str, int]] = set()

        def predict(world: World, answer: Answer) -> None:
            expected, held = work.heartbeat(world, worker, leases)
            seen = {(row[1], row[2]): row[0] for row in answer.rows}
            firm = {msg: what for msg, what in expected.items() if what != "maybe"}
            if any(seen.get(msg) != what for msg, what in firm.items()) or not set(seen) <= set(expected):
                raise Mismatch(f"directives {seen}, expected {expected}")
            extended.update(held)
            moment = world.beat()
            world.bottom.signs.update(dict.fromkeys(held, moment))

        self.perform(
            "heartbeat", caller, "select directive, msg_id, idx from app.heartbeat(%s, %s)", [worker, leases], predict,
            targets=[f"worker {worker}", *(lane.run_id for lane in lanes)], writes=True,
        )  # fmt: skip

    @action(
        weight=2,
        when=lambda self: self.history,
        caller=CALLER,
        worker=WORKER,
        picks=several(PICK, at_least=1, at_most=3),
    )
    def release(self, caller: int, worker: str, picks: list[int]) -> None:
        lanes = self._some(picks, worker)
        leases = [lane.lease() for lane in lanes]
        if self.others(caller):  # what they hold is over, which no rollback takes back here
            caller = self.free(caller)
        held = self.others(caller)

        def predict(world: World, answer: Answer, skip: Any = ()) -> None:
            count = work.release(world, worker, leases, skip)
            if answer.rows and answer.value != count:
                raise Mismatch(f"{answer.value} given back, expected {count}")

        self.perform(
            "release", caller, "select app.release(%s, %s)", [worker, leases],
            predict, *([lambda world, answer: predict(world, answer, held)] if held else []),
            targets=[lane.run_id for lane in lanes], writes=bool(held),
        )  # fmt: skip

    @action(
        caller=CALLER,
        worker=any_of([*WORKERS, "w3", "nobody"]),
        what=any_of(["again", "again", "keep", "leave"]),
    )
    def register_or_retire(self, caller: int, worker: str, what: str) -> None:
        if what == "leave":
            self.retire(caller, worker)
        elif worker != "nobody":
            self.register(caller, worker, {"keepLeases": True} if what == "keep" else {})

    def register(self, caller: int, worker: str, more: JSON) -> None:
        """A worker begins, or begins again: what it held is taken back, and counts as lost."""
        caller = self.free(caller)
        info = {"appVersion": VERSION_OF[worker], "queues": list(QUEUE_NAMES), "concurrency": 9, **more}
        held = self.others(caller)

        def predict(world: World, answer: Answer, skip: Any = ()) -> None:
            world.workers[worker] = Worker(VERSION_OF[worker])
            count = 0
            if "keepLeases" not in more:
                count = work.give_back_all(world, worker, "lease_expired", work.MOST_RECOVERIES, skip)
            if answer.rows and answer.value["released"] != count:
                raise Mismatch(f"{answer.value} given back, expected {count}")

        self.perform(
            "register_worker", caller, "select app.register_worker(%s, %s)", [worker, info],
            predict, *([lambda world, answer: predict(world, answer, held)] if held else []),
            targets=[f"worker {worker}", *held], writes=True,
        )  # fmt: skip

    def retire(self, caller: int, worker: str) -> None:
        caller = self.free(caller)
        held = self.others(caller)

        def predict(world: World, answer: Answer, skip: Any = ()) -> None:
            known = world.worker(worker)
            if known is None:
                raise Refused("PT404", "worker_not_found")
            work.give_back_all(world, worker, "lease_released", None, skip)
            world.workers[worker] = Worker(known.version, stopped=True)

        self.perform(
            "retire_worker", caller, "select app.retire_worker(%s)", [worker],
            predict, *([lambda world, answer: predict(world, answer, held)] if held else []),
            targets=[f"worker {worker}", *held], writes=True,
        )  # fmt: skip

    @action(when=lambda self: self.lanes(0))
    def age_leases(self) -> None:
        """Every holder has been silent for too long, except those that a transaction has its hands on."""
        with self.by_owner("age leases"):
            for place in self.harness.age_leases():
                self.base.aged[place] = self.base.beat()
        self.verify()
