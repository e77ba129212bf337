"""Idle latency: one run at a time on a runner that has nothing else to do."""

from __future__ import annotations

import time
from contextlib import closing

from sisu_kodo import database

from ..charts import Chart
from ..common import SQL, finish, percentile, recipe
from ..context import Bench, Place, timed
from ..ledger import Measured
from ..report import Section, Table

_STEPS = 4
_RUNS = 400
_TURNS = 5
_COMMITS = _STEPS + 1
_WHAT = (
    f"Single runs of {_STEPS} steps, one after the other, on one runner with its default settings: from the start call"
    " to SUCCESS by the database's clock, and as the client sees it, which asks every 5 ms. The ceiling is a"
    f" transaction log that is flushed as often: {_COMMITS} inserts of one row, each committed by itself, by one"
    " connection, in turn with the runs."
)


def measure(bench: Bench) -> Section:
    """Runs and bare commits in turn."""
    runs = bench.size(_RUNS, 20)
    seen: list[float] = []
    bare: list[float] = []
    ids: list[str] = []
    with bench.place("latency") as place, closing(database.connect(place.dsn)) as own:
        place.client.put_recipe(recipe(_STEPS))
        own.execute(SQL["bare_table"])

        def commits() -> None:
            for _ in range(_COMMITS):
                own.execute(SQL["bare_commit"])

        with place.runners(1):
            finish(place.client, f"bench-{_STEPS}", "warm-up", 30.0)
            commits()
            for turn in range(_TURNS):
                bench.say(f"turn {turn + 1} of {_TURNS}")
                for number in range(turn * runs // _TURNS, (turn + 1) * runs // _TURNS):
                    began = time.perf_counter()
                    ids.append(finish(place.client, f"bench-{_STEPS}", f"latency {number}", 30.0))
                    seen.append((time.perf_counter() - began) * 1000)
                bare += [timed(commits) for _ in range(runs // _TURNS)]
        told = _told(place, ids)
    seen.sort()
    bare.sort()
    p50 = percentile(told, 0.5)
    beside = f"{percentile(bare, 0.5):.1f} ms for {_COMMITS} bare commits"
    most = max(percentile(told, 0.98), percentile(bare, 0.98), 1.0)
    return Section(
        "latency",
        "Idle latency",
        _WHAT,
        [
            Table(
                ("", "n", "p50 ms", "p95 ms", "p99 ms", "max ms"),
                [
                    _row("start to SUCCESS", told),
                    _row("as the client sees it", seen),
                    _row(f"{_COMMITS} bare commits (ceiling)", bare),
                ],
            )
        ],
        [Measured("latency_p50", p50, percentile(bare, 0.5), beside)],
        [
            Chart(
                "latency",
                f"From start to SUCCESS, {_STEPS} steps on an idle runner",
                "histogram",
                "ms",
                [("runs", told), (f"{_COMMITS} bare commits", bare)],
                xs=[most * n / 40 for n in range(41)],
                x_unit="runs",
            )
        ],
    )


def _told(place: Place, ids: list[str]) -> list[float]:
    return [row["ms"] for row in place.conn.execute(SQL["latency"], {"run_ids": ids})]


def _row(name: str, times: list[float]) -> tuple[str, ...]:
    shares = (percentile(times, share) for share in (0.5, 0.95, 0.99, 1.0))
    return (name, f"{len(times):,}", *(f"{value:.1f}" for value in shares))
