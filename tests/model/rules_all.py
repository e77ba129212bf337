"""All rules, and the one that brings the world on."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from .actions import action, any_of
from .machine import GOALS, QUEUE_NAMES, VERSION_OF
from .recipes import JSON
from .rules_control import ControlRules
from .rules_start import CALLER, PLAIN, StartRules
from .rules_work import PICK, TASKS, WORKERS
from .rules_workers import WorkerRules
from .world import Worker

WELL = any_of(["done", "done", "done", "made", "done", "done", "none", "infra"])


class Everything(StartRules, WorkerRules, ControlRules):
    """The machine that is run."""

    @initialize(salt=st.integers(0, 2**32))
    def some_runs(self, salt: int) -> None:
        """What is there at first; and everything after it is drawn with this salt."""
        self.salt, dice = salt, Random(salt)
        self.limit = dice.choice([3, 2, GOALS, 1])
        for goal in range(dice.randint(1, 3)):
            self.start(0, goal, PLAIN(dice))

    @action(weight=2, caller=CALLER, worker=any_of(WORKERS), ticks=any_of([2, 1, 4]))
    def time_passes(self, caller: int, worker: str, ticks: int) -> None:
        """The clock moves on, and somebody sees to what is due."""
        self.advance(ticks)
        self.recover(caller, worker, {})

    @action(weight=2, when=lambda self: self.lanes(0), caller=CALLER, worker=any_of(WORKERS))
    def silence(self, caller: int, worker: str) -> None:
        """All workers are silent for too long, and somebody takes over."""
        self.age_leases()
        self.recover(caller, worker, {})

    @action(weight=20, caller=CALLER, pick=PICK, kind=WELL, tasks=TASKS, options=PLAIN)
    def drive(self, caller: int, pick: int, kind: str, tasks: list[int], options: JSON) -> None:
        """What happens most at a real installation: a result, a claim, an answer, a start; whichever is possible."""
        ways: list[Callable[[], None]] = []
        if lanes := self.lanes(caller):
            lane = lanes[pick % len(lanes)]
            ways += [
                lambda: self.work("finish", caller, lane.worker, [self.result(caller, lane, kind, tasks)])
            ] * 2
        for worker in (WORKERS[pick % 3], "v2"):
            queues = {queue: 1 + pick % 3 for queue in QUEUE_NAMES if self.waiting(caller, worker, queue)}
            if queues and self.view(caller).worker(worker) == Worker(VERSION_OF[worker]):
                ways.append(
                    lambda worker=worker, queues=queues: self.work("claim", caller, worker, [], queues=queues)  # type: ignore[misc]
                )
        if open_doors := self.open_doors(caller):
            run_id, key = open_doors[pick % len(open_doors)]
            ways.append(
                lambda: self.answer(caller, run_id, key, {"decision": "yes", "n": pick}, f"d{pick % 3}")
            )
        missing = self.missing(caller)
        if missing:
            ways.append(lambda: self.start(caller, missing[pick % len(missing)], options))
        if not ways:
            ways.append(lambda: self.fork(caller, pick, pick % 4, False, None, None))
        ways[pick % len(ways)]()
