"""The runners, and what happens to them: SIGKILL, SIGSTOP beyond the lease, backends cut off, SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from psycopg import Connection

from sisu_kodo.cli.processes import start_runner

from .recipes import HANDLERS
from .script import ACTOR
from .statements import STATEMENTS

_ROOT = Path(__file__).resolve().parents[2]
_PACE = {"kill": (0.4, 1.4), "terminate": (0.15, 0.6), "drain": (2.0, 5.0)}
"""Least and most seconds between two of a kind."""
_FIRE = (3.0, 5.0)
"""Least and most seconds of a round under fire."""
_WATCHED = ("lane.refused", "lane.lost", "result.rejected", "result.dropped", "work.failed", "handler.failed")
"""Actions of the runners' logs that are counted."""


@dataclass
class Runner:
    """A place in the fleet. `name` changes now and then, as that of a container does."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    back_at: float = 0.0
    stopped_until: float | None = None
    told_to_leave: bool = False


@dataclass
class Hits:
    """What was done to the fleet."""

    kills: int = 0
    stops: int = 0
    terminated: int = 0
    drains: int = 0
    suicides: int = 0
    crashes: list[str] = field(default_factory=list)


class Fleet:
    """`size` runners on `dsn`. `tick` is called often.

    The fire ceases before a round is over: what is stuck in a runner that lives must show, and a kill would
    heal it.
    """

    def __init__(
        self, dsn: str, conn: Connection[Any], rng: Random, folder: Path, size: int, lease: float
    ) -> None:
        self._dsn = dsn
        self._conn = conn
        self._rng = rng
        self._folder = folder
        self._lease = lease
        self._names = 0
        self._due: dict[str, float] = {}
        self._cease_at = 0.0
        self.hits = Hits()
        self.runners = [Runner(self._new_name()) for _ in range(size)]

    def open_fire(self) -> None:
        """A round begins: someone is stopped soon, the rest at its pace, for some seconds."""
        now = time.monotonic()
        self._cease_at = now + self._rng.uniform(*_FIRE)
        self._due = {what: now + self._rng.uniform(0.1, least) for what, (least, _) in _PACE.items()}
        self._due["stop"] = now + self._rng.uniform(0.2, 0.6)

    def tick(self) -> None:
        """Revive who is due, notice who died, and strike where it is time."""
        now = time.monotonic()
        for runner in self.runners:
            self._look_after(runner, now)
        for what, due in self._due.items():
            if now >= due and now < self._cease_at:
                getattr(self, f"_{what}")(now)

    def calm(self) -> None:
        """The round is over: nobody stays stopped or away."""
        self._cease_at = 0.0
        for runner in self.runners:
            runner.back_at = 0.0
            if runner.stopped_until is not None:
                runner.stopped_until = 0.0
        self.tick()

    def log_counts(self) -> Counter[str]:
        """How often the runners logged what is watched for."""
        counts: Counter[str] = Counter()
        for file in self._folder.glob("*.log"):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    event = json.loads(line)
                except ValueError:  # cut off by a kill
                    continue
                action = event.get("action") if isinstance(event, dict) else None
                if action in _WATCHED:
                    counts[action] += 1
                if action == "work.failed":
                    counts[f"work.failed {event.get('sqlstate')}"] += 1
        return counts

    def close(self) -> None:
        """Kill what is left."""
        for runner in self.runners:
            if runner.process is not None:
                runner.process.kill()
                runner.process.wait()

    # -- how a runner lives --------------------------------------------------------------------------------

    def _look_after(self, runner: Runner, now: float) -> None:
        process = runner.process
        if process is None:
            if now >= runner.back_at:
                self._start(runner)
        elif process.poll() is not None:
            self._note_the_end(runner, process.returncode)
            self._stay_away(runner, now)
        elif runner.stopped_until is not None and now >= runner.stopped_until:
            process.send_signal(signal.SIGCONT)
            runner.stopped_until = None

    def _start(self, runner: Runner) -> None:
        environment = {
            "DATABASE_URL": self._dsn,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
            "SISU_HOME": str(self._folder / "home"),
            "OC_RECORDINGS": str(self._folder),
        }
        words = ["--import", HANDLERS, "--name", runner.name, "--app-version", ACTOR]
        # one pump makes for full calls, several for races
        words += ["--concurrency", "6", "--pumps", str(self._rng.randint(1, 3))]
        words += ["--heartbeat", "0.25", "--log-json"]
        with (self._folder / f"{runner.name}.log").open("a", encoding="utf-8") as log:
            runner.process = start_runner(words, environment, log)
        runner.told_to_leave = False

    def _note_the_end(self, runner: Runner, code: int) -> None:
        if code == -signal.SIGKILL:
            self.hits.suicides += 1  # our own kills are waited for at once
        elif not (runner.told_to_leave and code in (0, -signal.SIGTERM)):  # told before it could listen
            self.hits.crashes.append(f"runner {runner.name} ended with {code}")

    def _stay_away(self, runner: Runner, now: float) -> None:
        """Back at once or after a while, and one in four under another name."""
        runner.process = None
        runner.stopped_until = None
        runner.back_at = now + self._rng.choice([0.0, 0.2, 0.5, self._lease + self._rng.uniform(0.0, 0.5)])
        if self._rng.random() < 0.25:
            runner.name = self._new_name()

    def _new_name(self) -> str:
        self._names += 1
        return f"soak-{os.getpid()}-{self._names}"

    # -- what is done to it --------------------------------------------------------------------------------

    def _again(self, what: str, now: float) -> None:
        self._due[what] = now + self._rng.uniform(*_PACE[what])

    def _awake(self) -> list[Runner]:
        return [
            runner for runner in self.runners
            if runner.process is not None and runner.stopped_until is None and not runner.told_to_leave
        ]  # fmt: skip

    def _kill(self, now: float) -> None:
        self._again("kill", now)
        if awake := self._awake():
            victim = self._rng.choice(awake)
            assert victim.process is not None
            victim.process.kill()
            victim.process.wait()
            self.hits.kills += 1
            self._stay_away(victim, now)

    def _stop(self, now: float) -> None:
        """The busiest sleeps through its lease, while it holds lanes."""
        awake = {runner.name: runner for runner in self._awake()}
        row = self._conn.execute(STATEMENTS["busiest"], {"workers": list(awake)}).fetchone()
        if row is None:
            return
        victim = awake[row[0]]
        assert victim.process is not None
        victim.process.send_signal(signal.SIGSTOP)
        victim.stopped_until = now + self._lease + self._rng.uniform(0.2, 0.8)
        self.hits.stops += 1
        self._due["stop"] = victim.stopped_until + self._rng.uniform(1.5, 3.0)

    def _terminate(self, now: float) -> None:
        self._again("terminate", now)
        row = self._conn.execute(STATEMENTS["terminate"], {"pattern": "sisu runner soak-%"}).fetchone()
        self.hits.terminated += row is not None and bool(row[0])

    def _drain(self, now: float) -> None:
        """A deploy: the runner finishes what it has in hand and comes back."""
        self._again("drain", now)
        if awake := self._awake():
            victim = self._rng.choice(awake)
            assert victim.process is not None
            victim.process.terminate()
            victim.told_to_leave = True
            self.hits.drains += 1


@contextmanager
def fleet(
    dsn: str, conn: Connection[Any], rng: Random, folder: Path, size: int, lease: float
) -> Iterator[Fleet]:
    """A fleet for the length of the block; its processes are gone afterwards."""
    found = Fleet(dsn, conn, rng, folder, size, lease)
    try:
        yield found
    finally:
        found.close()
