"""Memory of one runner process, idle and after ever more runs."""

from __future__ import annotations

import time

import psutil

from ..charts import Chart
from ..common import START_BATCH, recipe, start_all, wait_until_over
from ..context import Bench
from ..ledger import Measured
from ..report import Section, Table

_STEPS = 4
_SETTLE_SECONDS = 3.0
_PATIENCE = 300.0
_WHAT = (
    f"Resident memory of one `sisu runner` with 100 slots: after {_SETTLE_SECONDS:.0f} s of idling, then after every {START_BATCH:,} runs"
    f" of {_STEPS} no-op steps, when all of them have ended. The ceiling of its growth is what it had after the first {START_BATCH:,}."
)


def measure(bench: Bench) -> Section:
    """Feed a thousand at a time, weigh in between."""
    batch = bench.size(START_BATCH, 50)
    batches = max(2, round(bench.memory_runs * bench.scale / batch))
    runs: list[int] = []
    weights: list[float] = []
    with bench.place("memory") as place:
        place.client.put_recipe(recipe(_STEPS))
        with place.runners(1, ["--concurrency=100"]) as (process,):
            weigh = psutil.Process(process.pid).memory_info
            time.sleep(_SETTLE_SECONDS)
            idle = weigh().rss / 1e6
            for number in range(batches):
                bench.say(f"{number * batch:,} of {batches * batch:,} runs")
                start_all(place.client, f"bench-{_STEPS}", f"memory {number}", batch)
                wait_until_over(place.conn, _PATIENCE, pause=0.05)
                runs.append((number + 1) * batch)
                weights.append(weigh().rss / 1e6)
    growth = 100 * (weights[-1] / weights[0] - 1)
    steps = [n for n in (1, 2, 5, 10, 20, 50) if n < batches]
    rows = [("idle", f"{idle:.1f}", "–")]
    rows += [
        (
            f"{runs[n - 1]:,} runs",
            f"{weights[n - 1]:.1f}",
            f"{100 * (weights[n - 1] / weights[0] - 1):+.1f} %",
        )
        for n in (*steps, batches)
    ]
    return Section(
        "memory",
        "Memory of a runner",
        _WHAT,
        [Table(("", "RSS MB", f"against {batch:,} runs"), rows)],
        [
            Measured("rss_idle", idle, beside="RSS after start"),
            Measured(
                "rss_growth",
                growth,
                0,
                f"{weights[-1]:.0f} MB after {runs[-1]:,} runs, {weights[0]:.0f} MB after {runs[0]:,}",
            ),
        ],
        [
            Chart(
                "memory",
                "Resident memory of a runner",
                "lines",
                "MB",
                [("RSS", weights)],
                xs=[float(each) for each in runs],
                x_unit="runs",
            )
        ],
    )
