"""The world as the contract has it: intents, runs, attempts, gates, timers, leases, workers and a clock.

A world may stand on another one: it sees what that one has, and keeps its own changes to itself until `merge`. So the same class is the
committed state, an open transaction, and one possible outcome of a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .recipes import JSON, Recipe, Step

LIVE = ("ENQUEUED", "PENDING", "WAITING_INPUT")
TERMINAL = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


class Refused(Exception):
    """The contract refuses the call; code None when it does not name one."""

    def __init__(self, sqlstate: str, code: str | None = None) -> None:
        super().__init__(sqlstate, code)
        self.sqlstate, self.code = sqlstate, code


@dataclass(frozen=True)
class Lease:
    """The fencing token of a commit. `extended` is the moment of its last sign of life, on the world's pulse."""

    queue: str
    msg_id: int
    read_ct: int
    worker: str
    extended: int

    @property
    def place(self) -> tuple[str, int]:
        return self.queue, self.msg_id


# (idx, task, number)
Place = tuple[int, str, int]


@dataclass
class Attempt:
    """One try of a step, or of a task (`task` is its key, `order` its place, `body` what it is about)."""

    idx: int
    task: str
    number: int
    status: str
    queue: str
    order: int = -1
    body: Any = None
    code: str | None = None
    lease: Lease | None = None
    wanted: tuple[str, ...] = ()
    lost: bool = False
    epoch: int = 0
    born: int = 0
    output: Any = None
    artifacts: tuple[str, ...] = ()
    cached_from: str | None = None

    @property
    def spot(self) -> Place:
        return self.idx, self.task, self.number

    def begin(self, lease: Lease) -> None:
        """A worker has it."""
        self.status, self.lease = "PENDING", lease

    @property
    def waits_for_tasks(self) -> bool:
        return self.status == "PENDING" and self.lease is None


@dataclass
class Door:
    """A gate of a run."""

    idx: int
    status: str
    round: int = 1
    payload: JSON | None = None
    expires: int | None = None


@dataclass
class Timer:
    kind: str
    due: int
    number: int
    idx: int | None = None
    task: str = ""
    gate: str | None = None


@dataclass
class Run:
    """A run and everything that belongs to it."""

    run_id: str
    intent: str
    recipe: Recipe
    options: JSON
    version: str
    partition: str
    priority: int
    seq: int
    status: str = "ENQUEUED"
    code: str | None = None
    epoch: int = 0
    forked_from: str | None = None
    root: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    doors: dict[str, Door] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=list)
    replies: dict[tuple[str, str], JSON] = field(default_factory=dict)
    # dedupe keys of approvals: in which round of the gate, and who
    signed: dict[str, tuple[int, str]] = field(default_factory=dict)

    def clone(self) -> Run:
        return replace(
            self,
            attempts=[replace(attempt) for attempt in self.attempts],
            doors={key: replace(door) for key, door in self.doors.items()},
            timers=[replace(timer) for timer in self.timers],
            replies=dict(self.replies),
            signed=dict(self.signed),
        )

    @property
    def live(self) -> bool:
        return self.status in LIVE

    def step(self, idx: int) -> Step:
        return self.recipe.steps[idx]

    def at(self, place: Place) -> Attempt:
        return next(attempt for attempt in self.attempts if attempt.spot == place)

    def tries(self, idx: int, task: str = "") -> list[Attempt]:
        """The attempts of a step or task, oldest first."""
        return [a for a in self.attempts if a.idx == idx and a.task == task]

    def latest(self, idx: int, task: str = "") -> Attempt | None:
        tries = self.tries(idx, task)
        return tries[-1] if tries else None

    def succeeded(self, idx: int, task: str = "") -> Attempt | None:
        return next((a for a in self.tries(idx, task) if a.status == "SUCCESS"), None)

    def checkpoint(self) -> int | None:
        """The first step that has not succeeded; None when all have."""
        return next((n for n in range(len(self.recipe.steps)) if not self.succeeded(n)), None)

    def awaits(self, attempt: Attempt) -> bool:
        """Whether something waits for this attempt: always for a step, for a task its step."""
        parent = self.latest(attempt.idx) if attempt.task else None
        return not attempt.task or (
            parent is not None and parent.waits_for_tasks and attempt.task in parent.wanted
        )

    def open_tasks(self, parent: Attempt) -> int:
        """Tasks a step waits for that are not final yet."""
        return sum(1 for key in parent.wanted if self._is_open(parent.idx, key))

    def _is_open(self, idx: int, task: str) -> bool:
        latest = self.latest(idx, task)
        retried = any(t.kind == "retry" and (t.idx, t.task) == (idx, task) for t in self.timers)
        return retried or (latest is not None and latest.status in ("ENQUEUED", "PENDING"))


@dataclass
class Worker:
    version: str
    stopped: bool = False


class World:
    """A state, or a change of the state below it."""

    def __init__(self, below: World | None = None) -> None:
        self.below = below
        self.runs: dict[str, Run] = {}
        self.intents: set[str] = set()
        self.audits: Counter[str] = Counter()
        self.receipts: set[tuple[str, str]] = set()
        self.workers: dict[str, Worker] = {}
        # a claim of a run that works already locks the attempt and not the run: others may change the run meanwhile
        self.claims: dict[str, list[tuple[Place, Lease]]] = {}
        # messages that were read although their run was left alone: how often
        self.reads: Counter[tuple[str, int]] = Counter()
        # ids this world may hold a row lock on without having changed the run
        self.locks: set[str] = set()
        if below is None:
            self.clock = self.pulse = self.numbers = 0
            self.partitioned = False
            self.active = {"chain": 1}
            self.aged: dict[tuple[str, int], int] = {}
            self.signs: dict[tuple[str, int], int] = {}

    @property
    def bottom(self) -> World:
        return self if self.below is None else self.below.bottom

    def number(self) -> int:
        """Order of events; gaps do not matter."""
        self.bottom.numbers += 1
        return self.bottom.numbers

    def levels(self) -> Iterator[World]:
        yield self
        if self.below is not None:
            yield from self.below.levels()

    def find(self, run_id: str) -> Run | None:
        """A run, to look at."""
        if run_id in self.runs:
            return self.runs[run_id]
        run = self.below.find(run_id) if self.below else None
        if run is not None and run_id in self.claims:
            run = run.clone()
            for place, lease in self.claims[run_id]:
                run.at(place).begin(lease)
        return run

    def look(self, run_id: str) -> Run:
        run = self.find(run_id)
        assert run is not None, run_id
        return run

    def edit(self, run_id: str) -> Run:
        """A run, to change."""
        if run_id not in self.runs:
            self.runs[run_id] = self.look(run_id).clone()
            self.claims.pop(run_id, None)
        return self.runs[run_id]

    def claim(self, run_id: str, place: Place, lease: Lease) -> None:
        """A worker gets a step that waited in line."""
        run = self.look(run_id)
        if run.status == "PENDING" and run_id not in self.runs:
            self.claims.setdefault(run_id, []).append((place, lease))
            return
        run = self.edit(run_id)
        run.status = "PENDING"
        run.at(place).begin(lease)

    def all_runs(self) -> dict[str, Run]:
        ids = sorted(set().union(*(level.runs for level in self.levels())))
        return {run_id: self.look(run_id) for run_id in ids}

    def all_intents(self) -> set[str]:
        return set().union(*(level.intents for level in self.levels()))

    def all_audits(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for level in self.levels():
            total.update(level.audits)
        return total

    def all_receipts(self) -> set[tuple[str, str]]:
        return set().union(*(level.receipts for level in self.levels()))

    def worker(self, name: str) -> Worker | None:
        return next((level.workers[name] for level in self.levels() if name in level.workers), None)

    def recipe_version(self, name: str) -> int:
        return self.bottom.active.get(name, 1)

    def expired(self, lease: Lease) -> bool:
        signs = max(lease.extended, self.bottom.signs.get(lease.place, -1))
        return self.bottom.aged.get(lease.place, -1) > signs

    def expire(self, leases: Iterable[Lease]) -> None:
        """These are over at this moment; only a call in no transaction may say so."""
        self.bottom.aged.update(dict.fromkeys([lease.place for lease in leases], self.beat()))

    def read_ct(self, lease: Lease) -> int:
        """The read count that the message shows."""
        return lease.read_ct + sum(level.reads[lease.place] for level in self.levels())

    def beat(self) -> int:
        """The next moment of the real clock, which leases live by."""
        self.bottom.pulse += 1
        return self.bottom.pulse

    def held(self) -> set[str]:
        """Ids on which this world may hold a lock."""
        return set(self.runs) | set(self.claims) | self.intents | self.locks

    def merge(self) -> None:
        """Everything of this world becomes that of the one below."""
        below = self.below
        assert below is not None
        below.runs.update(self.runs)
        for run_id in self.runs:
            below.claims.pop(run_id, None)
        for run_id, claims in self.claims.items():
            for place, lease in claims:
                below.claim(run_id, place, lease)
        below.intents |= self.intents
        below.audits.update(self.audits)
        below.reads.update(self.reads)
        below.receipts |= self.receipts
        below.workers.update(self.workers)
        if below.below is not None:
            below.locks |= self.locks
