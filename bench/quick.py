"""`make bench-quick`: the engine's throughput beside the ceiling of the same server, and its idle latency.

Throughput: RUNS runs of four no-op steps wait in the queue for one `sisu runner` process; the time is that
between the first claim and the last commit, by the database's clock. The ceiling is `ceiling_call` of
bench.sql from two connections, measured right after. Both are measured ROUNDS times in turn, because a
machine's speed changes from second to second; the round with the median ratio is reported.
Latency: one run at a time on an idle runner, from start to SUCCESS, by the database's clock.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import closing
from dataclasses import asdict, dataclass

import click
from psycopg import Connection
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from sisu_kodo import database
from sisu_kodo.client import Client, connected
from sisu_kodo.config import Config, load_config

from .common import PUMPS, SLOTS, SQL, Row, finish, one, percentile, recipe, runners, scratch_database
from .rounds import Load, median_round, play

STEPS = 4
ROUNDS = 5


@dataclass(frozen=True)
class Report:
    """Figures of one benchmark; times in milliseconds, rates per second."""

    server: str
    python: str
    cores: int
    fsync: str
    synchronous_commit: str
    runs: int
    steps: int
    start_runs_per_second: float
    seconds: float
    runs_per_second: float
    steps_per_second: float
    ceiling_steps_per_second: float
    ratio: float
    ratios: list[float]
    latency_p50_ms: float
    latency_p95_ms: float
    latency_runs: int
    broken_laws: int


@click.command()
@click.option("--runs", type=click.IntRange(1), default=10_000, show_default=True)
@click.option(
    "--concurrency", type=click.IntRange(1), default=SLOTS, show_default=True, help="Slots of the runner."
)
@click.option(
    "--pumps", type=click.IntRange(1, 16), default=PUMPS, show_default=True, help="Connections of the runner."
)
@click.option("--latency-runs", type=click.IntRange(0), default=200, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(runs: int, concurrency: int, pumps: int, latency_runs: int, as_json: bool) -> None:
    """Measure throughput, its share of the server's ceiling, and idle latency."""
    report = measure(load_config(), runs, concurrency, pumps, latency_runs)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        show(report)


def measure(config: Config, runs: int, concurrency: int, pumps: int, latency_runs: int) -> Report:
    """Run all three measurements in a database made for them and dropped afterwards."""
    options = (f"--concurrency={concurrency}", f"--pumps={pumps}", "--queue=intentQ")
    load = Load(recipe(STEPS), runs, STEPS, 1, options)
    with (
        scratch_database(database.ensure_up(config)) as dsn,
        connected(dsn) as client,
        closing(database.connect(dsn, row_factory=dict_row)) as conn,
    ):
        facts = one(conn, "server")
        rounds = [play(dsn, client, conn, load, f"round {n}") for n in range(ROUNDS)]
        middle = median_round(rounds)
        times = idle_latency(dsn, client, conn, latency_runs)
        broken = one(conn, "laws")["count"]
    return Report(
        server=facts["version"],
        python=platform.python_version(),
        cores=os.cpu_count() or 0,
        fsync=facts["fsync"],
        synchronous_commit=facts["synchronous_commit"],
        runs=runs,
        steps=middle.steps,
        start_runs_per_second=round(runs / middle.seconds_to_start, 1),
        seconds=round(middle.seconds, 3),
        runs_per_second=round(runs / middle.seconds, 1),
        steps_per_second=round(middle.rate, 1),
        ceiling_steps_per_second=round(middle.ceiling, 1),
        ratio=round(middle.ratio, 3),
        ratios=sorted(round(each.ratio, 3) for each in rounds),
        latency_p50_ms=percentile(times, 0.50),
        latency_p95_ms=percentile(times, 0.95),
        latency_runs=len(times),
        broken_laws=broken,
    )


def idle_latency(dsn: str, client: Client, conn: Connection[Row], runs: int) -> list[float]:
    """Milliseconds from start to SUCCESS of single runs on an idle runner, ascending."""
    if not runs:
        return []
    client.put_recipe(recipe(STEPS))
    with runners(dsn, conn, 1):
        finish(client, f"bench-{STEPS}", "warm-up", 30.0)
        ids = [finish(client, f"bench-{STEPS}", f"latency {n}", 10.0) for n in range(runs)]
    return [row["ms"] for row in conn.execute(SQL["latency"], {"run_ids": ids})]


def show(report: Report) -> None:
    """Print the figures as a table."""
    out = Console(highlight=False)
    out.print(
        f"PostgreSQL {report.server}, {report.cores} cores, fsync {report.fsync}, "
        f"synchronous_commit {report.synchronous_commit}, Python {report.python}",
        style="dim",
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row(
        "runs/s", f"{report.runs_per_second:,.0f}", f"{report.runs:,} runs of {STEPS} no-op steps, one runner"
    )
    table.add_row(
        "steps/s", f"{report.steps_per_second:,.0f}", f"{report.steps:,} steps in {report.seconds:.2f} s"
    )
    table.add_row(
        "ceiling steps/s", f"{report.ceiling_steps_per_second:,.0f}", "bare set-based SQL, 50 steps a call"
    )
    others = ", ".join(f"{ratio:.1%}" for ratio in report.ratios)
    table.add_row("ratio", f"{report.ratio:.1%}", f"goal: 40 %; median of {others}")
    table.add_row("starts/s", f"{report.start_runs_per_second:,.0f}", "app.start_runs, 1,000 a call")
    table.add_row(
        "latency p50",
        f"{report.latency_p50_ms:.1f} ms",
        f"start to SUCCESS, {report.latency_runs} single runs",
    )
    table.add_row("latency p95", f"{report.latency_p95_ms:.1f} ms", "")
    table.add_row("broken laws", str(report.broken_laws), "rows of app.v_invariants")
    out.print(table)


if __name__ == "__main__":
    sys.exit(main())
