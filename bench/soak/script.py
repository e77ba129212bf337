"""The script of a round: its runs, what a person does to them meanwhile, and how each must end.

A part is one run. Its play is a generator that looks at the stage, acts when the moment has come, and is
asked again a little later; a part whose play is over and whose run has ended is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from sisu_kodo.client import TERMINAL, Client
from sisu_kodo.errors import Conflict, SisuError
from sisu_kodo.models import JSON

from .recipes import record_plan
from .statements import STATEMENTS

ACTOR = "soak"
_PARTITIONS = 3
_TASKS = 8
_PLANNED = 4
_CHAIN = ["S0", "S1", "S2", "S3"]
_GATHERED = {"n": list(range(_TASKS)), "total": sum(n * n for n in range(_TASKS))}
_DURABLE = {"word": "yes", "same": True, "parts": [0, 1, 2]}
_JOINED = {**_GATHERED, "word": "yes", "quiet": None}

Play = Generator[None, None, None]


@dataclass(frozen=True)
class Seen:
    """A run at the last look: its status, how many of its steps and tasks succeeded, its open gates."""

    status: str
    steps: int
    tasks: int
    gates: list[str]


@dataclass(frozen=True)
class Role:
    """A run to be: what to start, what is done to it, and its end. `output` None: whatever it is."""

    kind: str
    recipe: str
    play: Callable[[Stage, str], Play]
    inputs: dict[str, JSON] = field(default_factory=dict)
    expected: str = "SUCCESS"
    output: JSON = None
    tasks: int = 0


@dataclass
class Part:
    """A run that was started, and how far its play is. `surprise` says why the play could not go on."""

    run_id: str
    role: Role
    play: Play
    expected: str
    played: bool = False
    surprise: str | None = None


class Surprise(Exception):
    """Something happened that is not in the script."""


class Stage:
    """The runs of one round. `too_late` counts cancels that came after the end of their run."""

    def __init__(self, conn: Connection[Any], client: Client, rng: Random, folder: Path, number: int) -> None:
        self.conn = conn
        self.client = client
        self.rng = rng
        self.folder = folder
        self.number = number
        self.parts: list[Part] = []
        self.seen: dict[str, Seen] = {}
        self.too_late = 0

    @property
    def run_ids(self) -> list[str]:
        return [part.run_id for part in self.parts]

    def begin(self, roles: list[Role]) -> None:
        """Start a run per role, in an order of its own each time."""
        self.rng.shuffle(roles)
        requests = []
        for place, role in enumerate(roles):
            intent = {
                "goal": f"soak round {self.number}, {role.kind} {place}",
                "inputs": role.inputs,
                "constraints": {},
            }
            if role.tasks:
                record_plan(self.folder, intent, role.tasks)
            requests.append(
                {
                    "intent": intent,
                    "recipeName": role.recipe,
                    "queuePartitionKey": f"p{place % _PARTITIONS}",
                    "ocMode": "replay",
                    "sbxMode": "mock",
                    "appVersion": ACTOR,
                }
            )
        for role, header in zip(roles, self.client.start_runs(requests), strict=True):
            self.enter(str(header["workflowID"]), role)

    def enter(self, run_id: str, role: Role) -> None:
        """One more run belongs to the round."""
        self.parts.append(Part(run_id, role, role.play(self, run_id), role.expected))

    def tick(self) -> None:
        """Look at the runs, and let every play go on."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(STATEMENTS["look"], {"run_ids": self.run_ids}).fetchall()
        self.seen = {row.pop("run_id"): Seen(**row) for row in rows}
        for part in list(self.parts):
            if not part.played and part.run_id in self.seen:
                _go_on(part)

    def ended(self) -> int:
        """How many parts are done."""
        return sum(
            part.played and part.run_id in self.seen and self.seen[part.run_id].status in TERMINAL
            for part in self.parts
        )

    def over(self) -> bool:
        return self.ended() == len(self.parts)

    # -- what a play may do ------------------------------------------------------------------------------

    def until(self, condition: Callable[[], bool]) -> Iterator[None]:
        """Wait for a condition about what was seen."""
        while not condition():
            yield

    def pause(self, least: float, most: float) -> Iterator[None]:
        """Wait for some seconds."""
        end = time.monotonic() + self.rng.uniform(least, most)
        yield from self.until(lambda: time.monotonic() > end)

    def status(self, run_id: str) -> str:
        return self.seen[run_id].status

    def is_over(self, run_id: str) -> bool:
        return self.status(run_id) in TERMINAL

    def reply(self, run_id: str, payload: dict[str, JSON]) -> None:
        self.client.reply_gate(run_id, "answer", payload, dedupe_key="1", origin=ACTOR)

    def part(self, run_id: str) -> Part:
        return next(part for part in self.parts if part.run_id == run_id)

    def cancel(self, run_id: str) -> bool:
        """False when the run was over before."""
        try:
            self.client.control("cancel", run_id, ACTOR, "soak")
        except Conflict:
            self.too_late += 1
            return False
        return True

    def resume(self, run_id: str) -> None:
        self.client.control("resume", run_id, ACTOR, "soak")


def _go_on(part: Part) -> None:
    try:
        next(part.play)
    except StopIteration:
        part.played = True
    except (SisuError, Surprise) as error:
        part.played, part.surprise = True, str(error)


def nothing(stage: Stage, run_id: str) -> Play:
    """Left alone."""
    yield from ()


def answer_the_gate(stage: Stage, run_id: str) -> Play:
    """Half of the gates are answered before they open."""
    if stage.rng.random() < 0.5:
        yield from stage.until(lambda: bool(stage.seen[run_id].gates))
    stage.reply(run_id, {"word": "yes"})
    stage.reply(run_id, {"word": "yes"})  # a replay


def answer_when_asked(stage: Stage, run_id: str) -> Play:
    """A gate that a handler opens."""
    yield from stage.until(lambda: bool(stage.seen[run_id].gates))
    yield from stage.pause(0.0, 0.4)
    stage.reply(run_id, {"word": "yes"})


def cancel_resume_and_answer(stage: Stage, run_id: str) -> Play:
    """A handler that is stopped while it works, sleeps or asks, and asks again."""
    yield from stage.until(lambda: stage.status(run_id) != "ENQUEUED")
    yield from stage.pause(0.0, 1.0)
    if stage.cancel(run_id):
        yield from stage.pause(0.0, 0.6)
        stage.resume(run_id)
        yield
    yield from answer_when_asked(stage, run_id)


def answer_cancel_and_resume(stage: Stage, run_id: str) -> Play:
    """A graph that is stopped while its branches sleep, wait and work."""
    yield from answer_the_gate(stage, run_id)
    yield from stage.until(lambda: stage.seen[run_id].steps >= 1)
    yield from stage.pause(0.0, 0.4)
    if stage.cancel(run_id):
        yield from stage.pause(0.0, 0.6)
        stage.resume(run_id)
        yield


def approve(stage: Stage, run_id: str) -> Play:
    """Somebody approves the plan when it is shown."""
    yield from stage.until(lambda: bool(stage.seen[run_id].gates))
    yield from stage.pause(0.0, 0.3)
    stage.client.approve_plan(run_id, ACTOR)


def cancel_and_resume(stage: Stage, run_id: str) -> Play:
    """Cancelled in the middle, resumed a moment later, twice."""
    for steps in (1, 2):
        yield from stage.until(lambda steps=steps: stage.seen[run_id].steps >= steps)  # type: ignore[misc]
        yield from stage.pause(0.05, 0.3)
        if stage.cancel(run_id):
            yield from stage.pause(0.0, 0.6)
            stage.resume(run_id)
            yield


def cancel_tasks_and_resume(stage: Stage, run_id: str) -> Play:
    """Cancelled while some tasks are done, some under way and some in line."""
    yield from stage.until(lambda: stage.seen[run_id].tasks >= 1)
    if stage.cancel(run_id):
        yield from stage.pause(0.0, 0.6)
        stage.resume(run_id)
        yield


def cancel_for_good(stage: Stage, run_id: str) -> Play:
    """Cancelled in its slow step, which may end, but the next never starts."""
    yield from stage.until(lambda: stage.seen[run_id].steps >= 1)
    yield from stage.pause(0.0, 0.3)
    if not stage.cancel(run_id):
        stage.part(run_id).expected = "SUCCESS"
    yield


def fork_midway(stage: Stage, run_id: str) -> Play:
    """Forked at the step under way; source and fork both go on."""
    yield from stage.until(lambda: stage.seen[run_id].steps >= 1)
    step_n = stage.seen[run_id].steps
    role = stage.part(run_id).role
    if step_n < len(_CHAIN):
        forked = stage.client.fork(run_id, step_n, ACTOR, "soak")
        stage.enter(str(forked["forkedWorkflowID"]), replace(role, kind=f"{role.kind}, fork", play=nothing))


def fork_the_join(stage: Stage, run_id: str) -> Play:
    """Forked after its tasks: they are reused and leave no second receipt."""
    role = stage.part(run_id).role
    last = 1
    if role.recipe == "soak-graph":
        last = 5
        yield from answer_the_gate(stage, run_id)
    yield from stage.until(lambda: stage.seen[run_id].steps >= last)
    forked = stage.client.fork(run_id, last, ACTOR, "soak")
    stage.enter(str(forked["forkedWorkflowID"]), replace(role, kind=f"{role.kind}, fork", play=nothing))


def fix_and_fork(stage: Stage, run_id: str) -> Play:
    """A plan whose tasks fail; forked with other inputs it succeeds."""
    yield from approve(stage, run_id)
    yield from stage.until(lambda: stage.status(run_id) == "ERROR")
    forked = stage.client.fork(run_id, 2, ACTOR, "soak", inputs={"mock": {"sleepMS": 50}})
    stage.enter(
        str(forked["forkedWorkflowID"]),
        Role("intent, fixed fork", "compile-default", nothing, tasks=_PLANNED),
    )


def cure(stage: Stage, run_id: str) -> Play:
    """Kills its runners until it is stopped; cured and resumed it succeeds."""
    yield from stage.until(lambda: stage.is_over(run_id))
    if stage.status(run_id) != "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        raise Surprise(f"killed its runners and ended in {stage.status(run_id)}")
    (stage.folder / f"cure-{stage.number}").touch()
    while stage.status(run_id) != "SUCCESS":
        with suppress(Conflict):  # it is on its way
            stage.resume(run_id)
        yield from stage.pause(0.3, 0.6)


def roles(folder: Path, number: int) -> list[Role]:
    """The runs of a round."""
    slow = [20, 600, 300, 20]
    fans = [
        (nothing, 50),
        (nothing, 200),
        (fork_the_join, 50),
        (cancel_tasks_and_resume, 250),
        (cancel_tasks_and_resume, 250),
    ]
    intents: list[tuple[str, Callable[[Stage, str], Play], dict[str, JSON], str]] = [
        ("intent", approve, {"sleepMS": 150}, "SUCCESS"),
        ("intent, flaky", approve, {"cmd": ["FLAKY_INFRA_FAIL"], "sleepMS": 50}, "SUCCESS"),
        ("intent, failing", fix_and_fork, {"cmd": ["FAIL_ME"]}, "ERROR"),
    ]
    return [
        *(Role("chain", "soak-chain", nothing, {"ms": 30}, output=_CHAIN) for _ in range(8)),
        *(Role("retry", "soak-retry", nothing, output=_CHAIN[:3]) for _ in range(3)),
        *(Role("gate", "soak-gate", answer_the_gate, output=["S0", "S1", "yes"]) for _ in range(3)),
        *(
            Role("fan-out", "soak-fan", play, {"tasks": _TASKS, "ms": ms}, output=_GATHERED)
            for play, ms in fans
        ),
        *(
            Role("graph", "soak-graph", play, {"tasks": _TASKS, "ms": 150}, output=_JOINED)
            for play in (answer_the_gate, fork_the_join, answer_cancel_and_resume, answer_cancel_and_resume)
        ),
        *(
            Role("durable", "soak-durable", play, output=_DURABLE)
            for play in (answer_when_asked, answer_when_asked, cancel_resume_and_answer)
        ),
        *(
            Role(kind, "soak-chain", play, {"ms": slow}, output=_CHAIN)
            for kind, play in (("cancel, resume", cancel_and_resume), ("fork", fork_midway))
            for _ in range(3)
        ),
        Role("cancel", "soak-chain", cancel_for_good, {"ms": slow}, expected="CANCELLED"),
        Role("poison", "soak-poison", cure, {"cure": str(folder / f"cure-{number}")}, output=["S0"]),
        *(
            Role(kind, "compile-default", play, {"mock": mock}, expected, tasks=_PLANNED)
            for kind, play, mock, expected in intents
        ),
    ]
