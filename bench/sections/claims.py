"""Claim cost: what `app.work` takes for fifty lanes, however much waits, sleeps or is over."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from psycopg import Connection, Rollback

from ..charts import Chart
from ..common import SQL, Row, one, percentile, recipe
from ..context import Bench, Place, timed, worker
from ..ledger import Measured
from ..report import Section, Table

_LANES = 50
_ROUNDS = 20
_CALLS = 10
_FEW, _HUNDREDTH, _TENTH, _MANY = 1_000, 10_000, 100_000, 1_000_000
_WHAT = (
    f"One call of `app.work` that claims {_LANES} lanes, its transaction rolled back after the clock has stopped, so that"
    " each call finds the same. A database for each case, all filled by SQL and vacuumed before; the cases are measured"
    f" in turn, {_CALLS} calls at a time. The ceiling is one `update … for update skip locked` of {_LANES} rows of a"
    " bare queue table that is as long, rolled back likewise."
)


@dataclass(frozen=True)
class _Case:
    name: str
    waiting: int
    sleeping: int = 0
    finished: int = 0


def measure(bench: Bench) -> Section:
    """Fill, then claim in turn."""
    few = bench.size(_FEW, _LANES)
    cases = [
        _Case("1 k waiting", few),
        _Case("10 k waiting", bench.size(_HUNDREDTH, few)),
        _Case("100 k waiting", bench.size(_TENTH, few)),
        _Case("1 M waiting", bench.size(_MANY, few)),
        _Case("1 k waiting, 1 M timers asleep", few, sleeping=bench.size(_MANY)),
        _Case("1 k waiting, 1 M runs over", few, finished=bench.size(_MANY)),
    ]
    ours: dict[str, list[float]] = {case.name: [] for case in cases}
    bare: dict[str, list[float]] = {case.name: [] for case in cases}
    with ExitStack() as stack:
        calls: list[tuple[str, Callable[[], None], Callable[[], None]]] = []
        for number, case in enumerate(cases):
            place = stack.enter_context(bench.place(f"claims_{number}"))
            _fill(bench, place, case)
            version = one(place.conn, "app_version")["version"]
            conn = stack.enter_context(worker(place.dsn, "bench", version))
            calls.append((case.name, _claim(conn, version), _bare_claim(conn)))
        bench.say("claiming in turn")
        for number in range(_ROUNDS + 1):
            for name, claim, bare_claim in calls:
                times = [timed(claim) for _ in range(_CALLS)]
                bare_times = [timed(bare_claim) for _ in range(_CALLS)]
                if number:  # the first round warms up
                    ours[name] += times
                    bare[name] += bare_times
    for each in (*ours.values(), *bare.values()):
        each.sort()
    base = percentile(ours[cases[0].name], 0.5)
    rows = []
    for case in cases:
        p50, p95 = (percentile(ours[case.name], share) for share in (0.5, 0.95))
        floor = percentile(bare[case.name], 0.5)
        rows.append(
            (
                case.name,
                f"{p50:.2f}",
                f"{p95:.2f}",
                f"{p50 / base:.2f}×",
                f"{floor:.2f}",
                f"{p50 / floor:.1f}×",
            )
        )
    many = percentile(ours[cases[3].name], 0.5)
    titles = ("case", "p50 ms", "p95 ms", "against 1 k", "bare claim p50 ms", "against bare")
    return Section(
        "claims",
        "Claim cost",
        _WHAT,
        [Table(titles, rows)],
        [Measured("claim_growth", many / base, 1, f"{many:.1f} ms against {base:.1f} ms")],
        [
            Chart(
                "claims",
                f"Claiming {_LANES} lanes: median cost against what is in the tables",
                "bars",
                "ms",
                [
                    ("app.work", [percentile(ours[case.name], 0.5) for case in cases]),
                    ("bare claim", [percentile(bare[case.name], 0.5) for case in cases]),
                ],
                [case.name.replace(", ", "\n") for case in cases],
            )
        ],
    )


def _fill(bench: Bench, place: Place, case: _Case) -> None:
    place.client.put_recipe(recipe(1))
    # what is over or asleep is older than what waits
    if case.finished:
        arguments = {"label": "over", "recipe": "bench-1", "hours": 240, "total": case.finished, "errors": 0}
        bench.seed(place, "finished", case.finished, **arguments)
    if case.sleeping:
        bench.seed(place, "sleeping", case.sleeping, label="asleep", recipe="bench-1")
    bench.seed(place, "waiting", case.waiting, label="waiting", recipe="bench-1", partitions=0, partition="")
    place.conn.execute(SQL["ceiling_schema"])
    place.conn.execute(SQL["ceiling_seed"], {"runs": case.waiting})
    bench.settle(place)


def _claim(conn: Connection[Row], version: str) -> Callable[[], None]:
    want = json.dumps({"queues": {"intentQ": _LANES}, "appVersion": version})

    def call() -> None:
        with conn.transaction():
            rows = conn.execute(SQL["work"], {"worker": "bench", "results": "[]", "want": want}).fetchall()
            assert len(rows) == _LANES, f"{len(rows)} lanes instead of {_LANES}"
            raise Rollback

    return call


def _bare_claim(conn: Connection[Row]) -> Callable[[], None]:
    def call() -> None:
        with conn.transaction():
            rows = conn.execute(SQL["ceiling_claim"], {"batch": _LANES}).fetchall()
            assert len(rows) == _LANES, f"{len(rows)} rows instead of {_LANES}"
            raise Rollback

    return call
