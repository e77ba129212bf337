"""Oracles: what an operator reads, with a million runs in the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import Connection, sql

from ..charts import Chart
from ..common import SQL, Row, one, percentile, recipe
from ..context import Bench, Place, timed, worker
from ..ledger import Measured
from ..report import Section, Table

_OVER, _WAITING, _ASLEEP, _AT_A_GATE = 885_000, 100_000, 10_000, 5_000
_PARTITIONS = 100
_FAILED_PERCENT = 1
_HOURS = 240
_READS = 7
_PATIENCE = "30s"
_WHAT = (
    "A million runs, made by SQL and vacuumed: 885 k are over (1 % of them failed, spread over ten days, each with its attempt and"
    f" artifact), 100 k wait in {_PARTITIONS} partitions, 10 k sleep, 5 k are at a gate; one worker lives. Every view is read as"
    " `select * from view limit 1000`, the timeline and the functions of one run with a run's id, everything to the last row on the"
    f" client. One read to warm up, then {_READS} that count. The ceiling is a `select` of one run by its key. Views that others are made of"
    " (`v_open_laws` and its like) are listed too."
)


def measure(bench: Bench) -> Section:
    """Fill, read."""
    with bench.place("oracles") as place:
        total = _fill(bench, place)
        version = one(place.conn, "app_version")["version"]
        found: list[tuple[str, list[float], int]] = []
        with worker(place.dsn, "bench", version) as conn:
            conn.execute("select set_config('statement_timeout', %s, false)", [_PATIENCE])
            run_id = one(conn, "a_run", status="SUCCESS")["run_id"]
            waits = one(conn, "a_run", status="ENQUEUED")["run_id"]
            floor = sorted(
                timed(lambda: conn.execute(SQL["bare_read"], {"run_id": run_id}).fetchall())
                for _ in range(50)
            )
            for name, read in _reads(conn, run_id, waits):
                bench.say(name)
                conn.execute(SQL["heartbeat"], {"worker": "bench"})
                rows = read()
                found.append((name, sorted(timed(read) for _ in range(_READS)), len(rows)))
    bare = percentile(floor, 0.5)
    found.sort(key=lambda each: -percentile(each[1], 0.5))
    told = [
        (name, f"{rows:,}", f"{percentile(times, 0.5):.1f}", f"{times[-1]:.1f}")
        for name, times, rows in found
    ]
    name, times, _ = next(each for each in found if "(" not in each[0])
    slow = [each for each in found if percentile(each[1], 0.5) > 100]
    note = f"{total:,} runs. The ceiling, one run by its key, takes {bare:.2f} ms. Over 100 ms: " + (
        ", ".join(each[0] for each in slow) if slow else "none"
    )
    shown = found[:14]
    return Section(
        "oracles",
        "Oracles with a million runs",
        _WHAT,
        [Table(("read", "rows", "median ms", "max ms"), told, note + ".")],
        [Measured("slowest_oracle", percentile(times, 0.5), bare, f"{name}; a run by its key {bare:.2f} ms")],
        [
            Chart(
                "oracles",
                "The slowest reads with a million runs, median",
                "rows",
                "ms",
                [("ms", [percentile(each[1], 0.5) for each in shown])],
                [each[0].replace("`", "") for each in shown],
                limit=100,
            )
        ],
    )


def _fill(bench: Bench, place: Place) -> int:
    place.client.put_recipe(recipe(1))
    counts = [bench.size(full, 100) for full in (_OVER, _WAITING, _ASLEEP, _AT_A_GATE)]
    over, waiting, asleep, at_a_gate = counts
    spread = {"hours": _HOURS, "total": over, "errors": _FAILED_PERCENT}
    bench.seed(place, "finished", over, label="over", recipe="bench-1", **spread)
    bench.seed(
        place, "waiting", waiting, label="waiting", recipe="bench-1", partitions=_PARTITIONS, partition=""
    )
    bench.seed(place, "sleeping", asleep, label="asleep", recipe="bench-1")
    bench.seed(place, "at_a_gate", at_a_gate, label="gate", recipe="bench-1")
    bench.settle(place)
    return sum(counts)


def _reads(conn: Connection[Row], run_id: str, waits: str) -> list[tuple[str, Callable[[], list[Any]]]]:
    reads: list[tuple[str, Callable[[], list[Any]]]] = []
    for row in conn.execute(SQL["views"]).fetchall():
        view = sql.Identifier(row["schema"], row["name"])
        statement = sql.SQL("select * from {} limit 1000").format(view)
        reads.append((f"{row['schema']}.{row['name']}", _reader(conn, statement)))
    for name, text in SQL.items():
        if name.startswith("read_"):
            chosen = {"run_id": waits if name == "read_explain_run" else run_id}
            arguments = chosen if "%(run_id)s" in text else None
            shown = (
                "app.v_run_timeline"
                if name == "read_timeline"
                else f"`{name.removeprefix('read_')}` (function)"
            )
            reads.append((shown, _reader(conn, text, arguments)))
    return reads


def _reader(conn: Connection[Row], statement: Any, arguments: Row | None = None) -> Callable[[], list[Any]]:
    return lambda: conn.execute(statement, arguments).fetchall()
