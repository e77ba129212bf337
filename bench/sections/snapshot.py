"""A held snapshot: throughput while one transaction keeps Postgres from clearing dead rows away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import click
from psycopg import IsolationLevel
from psycopg.rows import dict_row

from sisu_kodo import database

from ..charts import Chart
from ..common import SQL, START_BATCH, busy, one, recipe, start_all
from ..context import Bench, Place
from ..ledger import Measured
from ..report import Section, Table

_STEPS = 4
_LEAST_WAITING = 3 * START_BATCH
_WARM = 300.0
"""Seconds, until the pace has settled."""
_WHAT = (
    f"One busy runner executes runs of {_STEPS} no-op steps while this program starts new ones, so that a few"
    " thousand always wait. The pace sinks while the tables outgrow the caches of the processor, with a snapshot or"
    " without, so the clock begins after five minutes: a transaction of another connection takes its"
    " snapshot and holds it to the end, so that no dead row that is younger can be cleared away. After a checkpoint"
    " pages are logged whole when they are touched first, which costs a quarter of the pace at its worst, and when the"
    " load makes one depends on the machine: so there is one by hand half a minute before the first stretch and half"
    " a minute before the last. Starts are part of the load. The ceiling is the same in a database of its own without"
    " the snapshot, for as long: what its pace loses is the growth of the tables, vacuum and the machine."
)


def measure(bench: Bench) -> Section:
    """Without a snapshot and with one: feed, count by stretches of a minute."""
    minutes = bench.snapshot_minutes * bench.scale
    if minutes <= 0:
        return Section("snapshot", "A held snapshot", f"{_WHAT}\n\nLeft out (`--snapshot-minutes 0`).")
    stretches = max(2, round(minutes))
    seconds = minutes * 60 / stretches
    free, _ = _rates(bench, stretches, seconds, hold=False)
    held, dead = _rates(bench, stretches, seconds, hold=True)
    unit = "minute" if round(seconds) == 60 else f"{seconds:.0f} s"
    rows = [
        (f"{number + 1}", f"{ours:,.0f}", _share(ours, held), f"{theirs:,.0f}", _share(theirs, free))
        for number, (ours, theirs) in enumerate(zip(held, free, strict=True))
    ]
    beside = f"{held[-1]:,.0f}/s against {held[0]:,.0f}/s, {minutes:g} minutes; {_share(free[-1], free)} without it"
    titles = (unit, "steps/s", "against the first", "without a snapshot", "against the first")
    return Section(
        "snapshot",
        "A held snapshot",
        _WHAT,
        [Table(titles, rows, f"{dead:,} dead rows in the engine's tables at the end of the snapshot.")],
        [Measured("held_snapshot", 100 * held[-1] / held[0] if held[0] else 0.0, 100, beside)],
        [
            Chart(
                "snapshot",
                "Steps per second while a snapshot is held",
                "lines",
                "steps/s",
                [("a held snapshot", held), ("none", free)],
                xs=[float(number + 1) for number in range(stretches)],
                x_unit=unit,
            )
        ],
    )


def _rates(bench: Bench, stretches: int, seconds: float, *, hold: bool) -> tuple[list[float], int]:
    """Steps per second by stretch, and the dead rows at the end."""
    what = "a snapshot is held" if hold else "no snapshot"
    with (
        bench.place("snapshot") as place,
        closing(database.connect(place.dsn, row_factory=dict_row)) as holder,
    ):
        place.client.put_recipe(recipe(_STEPS))
        feed = _Feed(place)
        feed.fill()
        with place.runners(1, busy(1)) as (process,), ThreadPoolExecutor(1) as aside:
            warm = min(_WARM, 5 * seconds)
            tell = partial(_say, bench, f"{what}: warming up", process)
            feed.until(time.monotonic() + warm - seconds / 2, tell)
            checkpoints = [aside.submit(_checkpoint, place.dsn)]
            feed.until(time.monotonic() + seconds / 2, tell)
            if hold:
                holder.isolation_level = IsolationLevel.REPEATABLE_READ
                holder.autocommit = False
                holder.execute(SQL["hold"])  # the snapshot is taken here
            since, began = one(place.conn, "clock")["now"], time.monotonic()
            for number in range(stretches):
                tell = partial(
                    _say, bench, f"{what}: {number} of {stretches} stretches of {seconds:.0f} s", process
                )
                if number == stretches - 2:
                    feed.until(began + (number + 0.5) * seconds, tell)
                    checkpoints.append(aside.submit(_checkpoint, place.dsn))
                feed.until(began + (number + 1) * seconds, tell)
            for each in checkpoints:
                each.result()
            time.sleep(1)
            dead = one(place.conn, "dead_rows")["count"]
            holder.rollback()
            bench.say("draining")
        found = place.conn.execute(
            SQL["ended_by_stretch"], {"since": since, "seconds": seconds, "stretches": stretches}
        ).fetchall()
    steps = {row["stretch"]: row["steps"] for row in found}
    return [steps.get(number, 0) / seconds for number in range(stretches)], dead or 0


def _checkpoint(dsn: str) -> None:
    with closing(database.connect(dsn)) as conn:
        conn.execute("checkpoint")


def _share(rate: float, rates: list[float]) -> str:
    return f"{rate / rates[0]:.1%}" if rates[0] else "–"


class _Feed:
    """Starts runs, so that enough wait. It asks a sequence how many were claimed: that costs the database
    nothing, however much of it is held up.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._started = 0

    def fill(self) -> None:
        while self._started - one(self._place.conn, "claimed")["count"] < _LEAST_WAITING:
            start_all(self._place.client, f"bench-{_STEPS}", f"fed {self._started}", START_BATCH)
            self._started += START_BATCH

    def until(self, deadline: float, tell: Callable[[], None]) -> None:
        while (left := deadline - time.monotonic()) > 0:
            self.fill()
            tell()
            time.sleep(min(0.1, max(0.0, left)))


def _say(bench: Bench, text: str, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise click.ClickException(f"the runner left with {process.returncode}")
    bench.say(text)
