"""The machine: every step is one call, predicted by the model, made on a connection, and checked against everything there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from .actions import ACTIONS
from .harness import CALLERS, LOCK_NOT_AVAILABLE, Answer, Harness, differences
from .picture import picture
from .recipes import intent_id
from .work import Lane
from .world import Refused, Worker, World

Predict = Callable[[World, Answer], Any]
GOALS = 10
# the workers and what they serve
VERSION_OF = {"w1": "0.1.0", "w2": "0.1.0", "w3": "0.1.0", "v2": "v2"}
QUEUE_NAMES = ("intentQ", "sbxQ", "controlQ")


def intent(goal: int) -> dict[str, Any]:
    """The intent of this number."""
    return {"goal": f"goal {goal}", "inputs": {"n": goal}, "constraints": {}}


class Mismatch(AssertionError):
    """The database did something that the contract does not say."""


class Machine(RuleBasedStateMachine):
    """What all rules share. `harness` is set by the test, `counts` survives the examples."""

    harness: ClassVar[Harness]
    counts: ClassVar[Counter[tuple[str, str]]] = Counter()
    moves: ClassVar[Counter[tuple[str, str, str]]] = Counter()
    found_after: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.harness.reset([intent(goal) for goal in range(GOALS - 1)], VERSION_OF)
        self.base = World()
        self.base.intents = {intent_id(intent(goal)) for goal in range(GOALS - 1)}
        self.base.workers = {name: Worker(version) for name, version in VERSION_OF.items()}
        self.open: dict[int, World] = {}
        self.salt = self.changes = 0
        # how many of the intents are used: few runs come far, many are in each other's way
        self.limit = GOALS
        self.history: list[Lane] = []
        self.finals: dict[str, str] = {}
        self.statuses: dict[str, tuple[str, str | None]] = {}

    @rule(seed=st.integers(0, 2**32))
    def step(self, seed: int) -> None:
        """One action, by weight, of those that make sense now."""
        # what changed nothing can be taken away without changing what comes after it
        dice = Random(f"{self.salt} {seed} {self.changes}")
        (action,) = dice.choices(ACTIONS, [one.chance(self) for one in ACTIONS])
        arguments = {name: draw(dice) for name, draw in action.arguments.items()}
        note(f"{action.name} {arguments}")
        try:
            getattr(self, action.name)(**arguments)
        except AssertionError:
            self.found_after.append(sum(self.counts.values()))
            raise
        self.remember()

    def remember(self) -> None:
        """Counts what became of the runs."""
        now = {run_id: (run.status, run.code) for run_id, run in self.base.runs.items()}
        for run_id, (status, code) in now.items():
            before = self.statuses.get(run_id, ("", None))
            if before != (status, code):
                self.moves[before[0], status, code or ""] += 1
        self.statuses = now

    def teardown(self) -> None:
        for conn in self.harness.callers:
            conn.rollback()

    def has(self, *statuses: str) -> bool:
        """Whether a run is in one of these statuses."""
        return any(run.status in statuses for run in self.base.runs.values())

    def view(self, caller: int) -> World:
        """What a caller sees: its transaction, or what is committed."""
        return self.open.get(caller, self.base)

    def others(self, caller: int, touched: bool = False) -> set[str]:
        """Ids that the open transactions of others hold; only the runs they changed, if so wanted."""
        open_ones = [world for one, world in self.open.items() if one != caller]
        return set().union(*(set(w.runs) if touched else w.held() for w in open_ones))

    def perform(
        self,
        action: str,
        caller: int,
        statement: str,
        arguments: Collection[Any],
        *predictions: Predict,
        targets: Collection[str] = (),
        writes: bool = False,
    ) -> Answer | None:
        """One call. The first prediction that fits is what happened; None when it was refused or blocked.

        targets: the ids for which it may have to wait. writes: it may write also what no world shows.
        """
        conn = self.harness.callers[caller]
        before, committed = self.harness.hash(conn), self.harness.hash()
        answer = self.harness.call(conn, statement, *arguments)
        note(f"{action} by {caller}{' in a transaction' if caller in self.open else ''}: {arguments} → "
             f"{answer.sqlstate or answer.rows} {answer.text.partition(chr(10))[0]}")  # fmt: skip
        if answer.sqlstate is not None:
            self._refused(action, caller, answer, predictions, targets, committed)
            return None
        world = self._settled(action, caller, answer, predictions)
        if self._is_empty(world) and not writes and self.harness.hash(conn) != before:
            raise Mismatch(f"{action} had nothing to write and wrote")
        if changed := set(world.runs) & self.others(caller, touched=True):
            raise Mismatch(f"{action} changed {changed} although another transaction holds it")
        if caller in self.open:
            world.locks |= set(targets)
        else:
            self.tell_claims(world)
        world.merge()
        if laws := self.harness.laws(conn):
            raise Mismatch(f"broken laws: {laws}")
        self.changes += writes or not self._is_empty(world)
        self.count(action, "accepted" if not self._is_empty(world) or writes else "accepted, nothing to do")
        if caller in self.open and self.harness.hash() != committed:
            raise Mismatch(f"{action} in an open transaction is visible outside")
        return answer

    def _refused(
        self,
        action: str,
        caller: int,
        answer: Answer,
        predictions: Collection[Predict],
        targets: Collection[str],
        committed: str,
    ) -> None:
        if answer.sqlstate == LOCK_NOT_AVAILABLE:
            if not set(targets) & self.others(caller):
                raise Mismatch(f"{action} waited for a lock that nobody should hold: {answer.text}")
            self.count(action, "blocked")
        else:
            expected = [self._predicted(caller, predict, answer) for predict in predictions]
            fitting = [
                one
                for one in expected
                if isinstance(one, Refused)
                and one.sqlstate == answer.sqlstate
                and one.code in (None, answer.code)
            ]
            if not fitting:
                raise Mismatch(
                    f"{action}: {answer.sqlstate} {answer.code} {answer.text}, expected {expected}"
                )
            self.count(action, f"refused {answer.sqlstate}")
        self.abort(caller)
        if self.harness.hash() != committed:
            raise Mismatch(f"{action} was refused with {answer.sqlstate} and wrote")

    def _predicted(self, caller: int, predict: Predict, answer: Answer) -> Refused | str:
        try:
            predict(World(self.view(caller)), answer)
        except Refused as refusal:
            return refusal
        except Mismatch as mismatch:
            return str(mismatch)
        return "accepted"

    def _settled(self, action: str, caller: int, answer: Answer, predictions: Collection[Predict]) -> World:
        """The world after the call: that of the first prediction which fits."""
        seen = self.harness.picture(self.harness.callers[caller] if caller in self.open else None)
        why: list[str] = []
        for predict in predictions:
            world = World(self.view(caller))
            try:
                predict(world, answer)
            except Refused as refusal:
                why.append(f"should have been refused: {refusal.args}")
                continue
            except Mismatch as mismatch:
                why.append(str(mismatch))
                continue
            faults = differences(picture(world), seen)
            if not faults:
                return world
            why.append("\n".join(faults))
        raise Mismatch(f"{action} → {answer.rows}\n" + "\nor ".join(why))

    @staticmethod
    def _is_empty(world: World) -> bool:
        return not (
            world.runs
            or world.intents
            or world.audits
            or world.workers
            or world.receipts
            or world.claims
            or world.reads
        )

    def verify(self) -> None:
        """After every step: the laws hold, what is committed is what the model says, what was final is unchanged."""
        if laws := self.harness.laws():
            raise Mismatch(f"broken laws: {laws}")
        if faults := differences(picture(self.base), self.harness.picture()):
            raise Mismatch("\n".join(faults))
        finals = self.harness.finals()
        if changed := [key for key, value in self.finals.items() if finals.get(key) != value]:
            raise Mismatch(f"what was final has changed: {changed}")
        self.finals = finals

    def tell_claims(self, world: World) -> None:
        """Claims that are committed now; open transactions that hold the run see them, too."""
        for run_id, claims in world.claims.items():
            for place, lease in claims:
                for other in self.open.values():
                    if run_id in other.runs and world is not other:
                        other.runs[run_id].at(place).begin(lease)

    def count(self, action: str, outcome: str) -> None:
        self.counts[action, outcome] += 1

    def abort(self, caller: int) -> None:
        """The caller's transaction, if any, is rolled back."""
        if caller in self.open:
            self.harness.callers[caller].rollback()
            del self.open[caller]

    @contextmanager
    def by_owner(self, action: str) -> Iterator[None]:
        """Something that no caller does: always committed at once."""
        yield
        self.changes += 1
        self.count(action, "done")

    def free(self, caller: int) -> int:
        """This caller, or another one that is in no transaction."""
        return next(int(n) for n in [*range(caller, CALLERS), *range(caller)] if n not in self.open)


def same(expected: dict[str, Any], answer: Any) -> None:
    """The answer has these fields with these values."""
    wrong = {key: (value, answer.get(key)) for key, value in expected.items() if answer.get(key) != value}
    if wrong:
        raise Mismatch(f"answered otherwise (expected, given): {wrong}")
