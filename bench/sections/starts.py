"""Start rate: runs started by one client, one by one and a thousand a call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from statistics import median
from typing import Any, TypeVar

from sisu_kodo import database

from ..common import SQL, START_BATCH, recipe, start
from ..context import Bench, Place
from ..ledger import Measured
from ..report import Section, Table

T = TypeVar("T")

_STEPS = 4
_SINGLE = 2_000
_BULK = 20_000
_TURNS = 5
_WHAT = (
    f"One client on one connection starts runs of {_STEPS} steps; nobody executes them. Single: `app.start_run` of"
    f" intents that are there already. Bulk: `app.start_runs`, {START_BATCH:,} runs a call, intents included. The"
    " ceiling is a bare insert of the very rows which that made (run and first step; in bulk the intent too) into"
    " tables with the same columns, checks and indexes but without triggers and foreign keys, one commit a call, in"
    f" turn; the median of {_TURNS} turns is told."
)


def measure(bench: Bench) -> Section:
    """Both ways, each in turn with its ceiling."""
    single, bulk = bench.size(_SINGLE, 50), bench.size(_BULK, START_BATCH)
    rates: dict[str, list[float]] = {name: [] for name in ("single", "bare single", "bulk", "bare bulk")}
    with bench.place("starts") as place, closing(database.connect(place.dsn)) as own:
        place.client.put_recipe(recipe(_STEPS))
        own.execute(SQL["ceiling_copies"])
        made: list[list[str]] = []
        for turn in range(_TURNS):
            bench.say(f"turn {turn + 1} of {_TURNS}")
            ids = _intents(place, turn, single)

            def copy(run_id: str) -> None:
                own.execute(SQL["copy_run"], {"run_id": run_id})

            def copies(run_ids: list[str]) -> None:
                own.execute(SQL["copy_runs"], {"run_ids": run_ids})

            rates["single"].append(_rate(ids, _start_one(place)))
            rates["bare single"].append(_rate(ids, copy))
            batches = [
                [start(f"bench-{_STEPS}", f"bulk {turn} {n}") for n in range(first, first + START_BATCH)]
                for first in range(0, bulk, START_BATCH)
            ]
            made.clear()
            rate = _rate(batches, lambda batch: made.append(_start_many(place, batch)))
            rates["bulk"].append(rate * START_BATCH)
            rates["bare bulk"].append(_rate(made, copies) * START_BATCH)
    middle = {name: median(each) for name, each in rates.items()}
    names = (("single", "bare single", "app.start_run"), ("bulk", "bare bulk", "app.start_runs"))
    rows = [
        (call, f"{middle[ours]:,.0f}", f"{middle[bare]:,.0f}", f"{middle[ours] / middle[bare]:.1%}")
        for ours, bare, call in names
    ]
    return Section(
        "starts",
        "Start rate",
        _WHAT,
        [Table(("", "runs/s", "ceiling", "ratio"), rows)],
        [
            Measured(
                "start_single",
                middle["single"],
                middle["bare single"],
                f"{middle['bare single']:,.0f}/s bare inserts",
            ),
            Measured(
                "start_bulk",
                middle["bulk"],
                middle["bare bulk"],
                f"{middle['bare bulk']:,.0f}/s bare inserts",
            ),
        ],
    )


def _intents(place: Place, turn: int, count: int) -> list[str]:
    rows = place.conn.execute(SQL["make_intents"], {"label": f"single {turn}", "count": count})
    return [row["intent_id"] for row in rows]


def _start_one(place: Place) -> Callable[[str], None]:
    def call(intent_id: str) -> None:
        place.client.start_run(intent_id, recipeName=f"bench-{_STEPS}")

    return call


def _start_many(place: Place, batch: list[dict[str, Any]]) -> list[str]:
    return [header["workflowID"] for header in place.client.start_runs(batch)]


def _rate(items: Sequence[T], call: Callable[[T], object]) -> float:
    """Calls per second."""
    began = time.perf_counter()
    for item in items:
        call(item)
    return len(items) / (time.perf_counter() - began)
