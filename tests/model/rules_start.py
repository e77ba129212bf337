"""Rules: intents and starts, the same again, drift, bulks, recipe versions, the partition law."""

from __future__ import annotations

from typing import Any

from . import calls
from .actions import action, any_of, between, both, either, fields, several
from .harness import CALLERS
from .machine import GOALS, Machine, intent, same
from .recipes import JSON, TICK_MS, VERSIONS, intent_id
from .world import Refused

CALLER = between(0, CALLERS - 1)
GOAL = between(0, GOALS - 1)
# Few values, so that the same start often comes again; the rare ones are drift.
OPTIONS = fields(
    {"recipeName": any_of(["four", "chain", "fans", "stubborn", "queues", "asks", "four", "fans"])},
    optional={
        "queuePartitionKey": any_of(["p", "q"]),
        "lane": any_of(["interactive", "batch"]),
        "priority": any_of([0, 7]),
        "timeoutMS": any_of([3 * TICK_MS, 12 * TICK_MS]),
        "recipeVersion": any_of([1, 1, 2]),
        "budget": any_of([{"tasks": 2}, {"steps": 3}, {"steps": 9}, {"attempts": 4}]),
        "workload": any_of([{"tasks": 2}, {"tasks": 9}]),
        "appVersion": any_of(["0.1.0", "v2"]),
        "tenantId": any_of(["t"]),
    },
)
PLAIN = fields(
    {"recipeName": any_of(["four", "fans", "stubborn", "asks", "four", "chain", "queues", "asks"])}, {}
)
WRONG: list[JSON] = [
    {"recipeName": "nobody"},
    {"recipeName": "chain", "recipeVersion": 9},
    {"recipeName": "chain", "lane": "fast"},
    {"recipeName": "chain", "priority": -1, "color": 1},
    {"recipeName": ["chain"]},
]
_MALFORMED = WRONG[2:]


class StartRules(Machine):
    @action(caller=CALLER, goal=GOAL)
    def create_intent(self, caller: int, goal: int) -> None:
        self.create(caller, goal)

    def create(self, caller: int, goal: int) -> None:
        body = intent(goal)
        self.perform(
            "create_intent", caller, "select app.create_intent(%s)", [body],
            lambda world, answer: same(calls.create_intent(world, body), answer.value),
            targets=[intent_id(body)],
        )  # fmt: skip

    @action(weight=lambda self: 3 if self.missing(0) else 0.3, caller=CALLER, goal=GOAL, options=PLAIN)
    def start_plain(self, caller: int, goal: int, options: JSON) -> None:
        """A run that is not there yet, when there is one left."""
        missing = self.missing(caller)
        self.start(caller, missing[goal % len(missing)] if missing else goal, options)

    @action(caller=CALLER, goal=GOAL, options=OPTIONS)
    def start_any(self, caller: int, goal: int, options: JSON) -> None:
        self.start(caller, goal, options)

    @action(
        caller=CALLER,
        goal=GOAL,
        twist=any_of(["lane", "priority", "timeoutMS", "tenantId", "same", "pinned"]),
    )
    def start_again(self, caller: int, goal: int, twist: str) -> None:
        """A start like that of a run that is there, or with one argument that differs."""
        goal %= self.limit
        run = self.view(caller).find(intent_id(intent(goal)))
        if run is None:
            return
        options = {key: value for key, value in run.options.items() if value is not None and key != "timeout"}
        if twist == "pinned":
            options = {key: value for key, value in options.items() if key not in calls.PINNED}
        elif twist != "same":
            other: JSON = {"lane": "batch", "priority": 99, "timeoutMS": 99 * TICK_MS, "tenantId": "other"}
            options[twist] = other[twist]
        self.start(caller, goal, options)

    def missing(self, caller: int) -> list[int]:
        """Intents without a run."""
        return [n for n in range(self.limit) if not self.view(caller).find(intent_id(intent(n)))]

    def start(self, caller: int, goal: int, options: JSON) -> None:
        wid = intent_id(intent(goal % self.limit))
        self.perform(
            "start_run", caller, "select app.start_run(%s, %s)", [wid, options],
            lambda world, answer: same(calls.start_run(world, wid, options), answer.value),
            targets=[wid],
        )  # fmt: skip

    @action(
        caller=CALLER, items=several(both(GOAL, any_of([False, True]), either(PLAIN, OPTIONS)), at_most=3)
    )
    def start_runs(self, caller: int, items: list[tuple[int, bool, JSON]]) -> None:
        wanted = [(intent(goal % self.limit), by_id, options) for goal, by_id, options in items]
        given = [
            {**({"intentId": intent_id(body)} if by_id else {"intent": body}), **options}
            for body, by_id, options in wanted
        ]

        def predict(world: Any, answer: Any) -> None:
            expected = calls.start_runs(world, wanted)
            for one, got in zip(expected, answer.value if answer.rows else expected, strict=True):
                same(one, got)

        self.perform(
            "start_runs", caller, "select app.start_runs(%s)", [given], predict,
            targets=[intent_id(body) for body, _, _ in wanted],
        )  # fmt: skip

    def start_wrongly(self, caller: int, goal: int, options: JSON) -> None:
        wid = intent_id(intent(goal))

        def predict(world: Any, answer: Any) -> None:
            if options in _MALFORMED:
                raise Refused("PT400", "schema_violation")
            calls.start_run(world, wid, options)

        self.perform(
            "start_run", caller, "select app.start_run(%s, %s)", [wid, options], predict, targets=[wid]
        )

    @action(what=any_of(["1", "2", "partitioned", "free", "free"]))
    def settings(self, what: str) -> None:
        if what in ("1", "2"):
            self.activate(int(what))
        else:
            self.partition(what == "partitioned")

    def activate(self, version: int) -> None:
        """New runs of chain take this version; runs under way keep theirs."""
        assert ("chain", version) in VERSIONS
        with self.by_owner("activate_recipe"):
            self.harness.owner.execute("select app.activate_recipe('chain', %s)", [version])
            self.base.active["chain"] = version
        self.verify()

    def partition(self, partitioned: bool) -> None:
        with self.by_owner("set_queue_partitioning"):
            self.harness.owner.execute("select app.set_queue_partitioning(%s)", [partitioned])
            self.base.partitioned = partitioned
        self.verify()
