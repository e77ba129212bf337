"""Fairness: how long small tenants wait while another has a long backlog."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from psycopg import Connection

from ..common import SQL, Row, one, percentile, recipe, start
from ..context import Bench, Place, worker
from ..ledger import Measured
from ..report import Section, Table

_NAMED = ("run_id", "idx", "task_key", "attempt", "queue_name", "msg_id", "read_ct")
_SMALL = 99
_BACKLOG = 100_000
_WAVES = 40
_CYCLES_BETWEEN = 5
_LANES = (50, 200)
_WHAT = (
    f"One tenant has a backlog of 100 k runs; {_SMALL} others each start one run of one step, all at once, every"
    f" {_CYCLES_BETWEEN} claim cycles. A runner played by hand commits what it claimed and claims the next 50 (or 200) lanes in"
    " one call of `app.work`, again and again, on one connection: a cycle. Told is how many cycles, and how many ms, pass from the"
    " commit of a small tenant's start until a call hands its run out. The ceiling is the same without the backlog. A claim takes"
    " one lane of each partition before it takes a second of any, so 100 partitions that all have something need two claims of 50."
)


@dataclass
class _Waits:
    cycles: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    call_ms: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Section:
    """With the backlog and without it."""
    backlog = bench.size(_BACKLOG, 500)
    waves = bench.size(_WAVES, 5)
    rows = []
    found: dict[tuple[int, bool], _Waits] = {}
    for lanes in _LANES:
        for is_crowded in (True, False):
            with bench.place("fairness") as place:
                place.client.put_recipe(recipe(1))
                if is_crowded:
                    arguments = {"label": "hot", "recipe": "bench-1", "partitions": 0, "partition": "hot"}
                    bench.seed(place, "waiting", backlog, **arguments)
                bench.settle(place)
                bench.say(f"claims of {lanes}, {'behind a backlog' if is_crowded else 'alone'}")
                waits = _serve(place, lanes, waves)
            found[lanes, is_crowded] = waits
            told = (
                percentile(sorted(waits.cycles), 0.5),
                percentile(sorted(waits.cycles), 0.99),
                max(waits.cycles),
            )
            ms = (percentile(sorted(waits.ms), share) for share in (0.5, 0.99))
            case = f"{backlog:,} waiting" if is_crowded else "none (ceiling)"
            rows.append(
                (
                    f"{lanes} lanes a claim",
                    case,
                    f"{len(waits.ms):,}",
                    *(f"{n:.0f}" for n in told),
                    *(f"{n:.1f}" for n in ms),
                    f"{percentile(sorted(waits.call_ms), 0.5):.1f}",
                )
            )
    titles = (
        "",
        "backlog of the other",
        "waits",
        "p50 cycles",
        "p99 cycles",
        "max cycles",
        "p50 ms",
        "p99 ms",
        "a cycle ms",
    )
    behind, alone = found[_LANES[0], True], found[_LANES[0], False]
    p99, floor = (percentile(sorted(each.cycles), 0.99) for each in (behind, alone))
    beside = f"{floor:.0f} without the backlog; {percentile(sorted(behind.ms), 0.99):.0f} ms"
    return Section(
        "fairness",
        "A hot tenant and 99 small ones",
        _WHAT,
        [Table(titles, rows)],
        [Measured("small_wait", p99, floor, beside)],
    )


def _serve(place: Place, lanes: int, waves: int) -> _Waits:
    waits = _Waits()
    version = one(place.conn, "app_version")["version"]
    since: dict[str, tuple[int, float]] = {}
    done: list[Row] = []
    cycle = wave = 0
    with worker(place.dsn, "bench", version) as conn:
        while wave < waves or since:
            if wave < waves and cycle % _CYCLES_BETWEEN == 0:
                small = [
                    start("bench-1", f"small {wave} {n}", queuePartitionKey=f"small-{n}")
                    for n in range(_SMALL)
                ]
                headers = place.client.start_runs(small)
                now = time.perf_counter()
                since |= {header["workflowID"]: (cycle, now) for header in headers}
                wave += 1
            cycle += 1
            began = time.perf_counter()
            done = _work(conn, version, done, lanes)
            ended = time.perf_counter()
            waits.call_ms.append((ended - began) * 1000)
            for row in done:
                if (at := since.pop(row["run_id"], None)) is not None:
                    waits.cycles.append(cycle - at[0])
                    waits.ms.append((ended - at[1]) * 1000)
    return waits


def _work(conn: Connection[Row], version: str, done: list[Row], lanes: int) -> list[Row]:
    """Commit these lanes, claim the next."""
    results = [
        {name: row[name] for name in _NAMED} | {"status": "SUCCESS", "output": {"idx": row["idx"]}}
        for row in done
    ]
    want = {"queues": {"intentQ": lanes}, "appVersion": version}
    arguments = {"worker": "bench", "results": json.dumps(results), "want": json.dumps(want)}
    return [row for row in conn.execute(SQL["work"], arguments) if row["outcome"] == "assigned"]
