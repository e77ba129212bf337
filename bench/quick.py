"""`make bench-quick`: the engine's throughput beside the ceiling of the same server, and its idle latency.

Throughput: RUNS runs of four no-op steps wait in the queue, then one `sisu runner` process executes them; the
time is that between the first claim and the last commit, by the database's clock. The ceiling is
`ceiling_call` of quick.sql from two connections, measured right after. Both are measured ROUNDS times in
turn, because a machine's speed changes from second to second; the round with the median ratio is reported.
Latency: one run at a time on an idle runner, from start to SUCCESS, by the database's clock.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, LiteralString

import click
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from sisu_kodo import database
from sisu_kodo.cli.processes import start_runner, stop_sisu
from sisu_kodo.client import TERMINAL, Client, connected
from sisu_kodo.config import Config, load_config
from sisu_kodo.queries import parse

STEPS = 4
ROUNDS = 5
BATCH = 50
_HERE = Path(__file__).parent
_SQL: dict[str, LiteralString] = parse((_HERE / "quick.sql").read_text(encoding="utf-8"))
_RECIPE = {
    "name": "bench-noop",
    "steps": [{"stepId": f"Step{n}", "handler": "bench/noop"} for n in range(STEPS)],
}


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
@click.option("--runs", type=click.IntRange(1), default=5000, show_default=True)
@click.option(
    "--concurrency", type=click.IntRange(1), default=450, show_default=True, help="Slots of the runner."
)
@click.option(
    "--pumps", type=click.IntRange(1, 16), default=3, show_default=True, help="Connections of the runner."
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
    with (
        scratch_database(database.ensure_up(config)) as dsn,
        connected(dsn) as client,
        closing(database.connect(dsn, row_factory=dict_row)) as conn,
    ):
        facts = one(conn, "server")
        rounds = [throughput(dsn, client, conn, n, runs, concurrency, pumps) for n in range(ROUNDS)]
        rounds.sort(key=lambda each: each.rate / each.ceiling)
        middle = rounds[len(rounds) // 2]
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
        ratio=round(middle.rate / middle.ceiling, 3),
        ratios=[round(each.rate / each.ceiling, 3) for each in rounds],
        latency_p50_ms=percentile(times, 0.50),
        latency_p95_ms=percentile(times, 0.95),
        latency_runs=len(times),
        broken_laws=broken,
    )


@dataclass(frozen=True)
class Round:
    """The engine and, right after it, the ceiling. `seconds`: first claim to last commit."""

    seconds_to_start: float
    seconds: float
    steps: int
    ceiling: float

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds


def throughput(
    dsn: str,
    client: Client,
    conn: Connection[dict[str, Any]],
    number: int,
    runs: int,
    concurrency: int,
    pumps: int,
) -> Round:
    """Start, execute, count; then the ceiling."""
    began = time.perf_counter()
    ids = start_all(client, number, runs)
    seconds_to_start = time.perf_counter() - began
    execute_all(dsn, concurrency, pumps)
    span = conn.execute(_SQL["span"], {"run_ids": ids}).fetchone()
    if span is None or span["done"] != runs:
        raise click.ClickException(f"only {span and span['done']} of {runs} runs ended in SUCCESS")
    return Round(seconds_to_start, span["seconds"], span["steps"], measure_ceiling(dsn, runs))


@contextmanager
def scratch_database(server: str, name: str = "bench", keep: Callable[[], bool] = bool) -> Iterator[str]:
    """A migrated database of its own on `server`, `sisu_<name>_<pid>`; dropped at the end unless `keep()`."""
    name = f"sisu_{name}_{os.getpid()}"
    with closing(database.connect(server)) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = make_conninfo(server, dbname=name)
    try:
        database.migrate(dsn)
        yield dsn
    finally:
        if not keep():
            with closing(database.connect(server)) as conn:
                conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def start_all(client: Client, number: int, runs: int) -> list[str]:
    """Put the recipe, start `runs` runs in bulk. Returns their ids."""
    client.put_recipe(_RECIPE)
    ids: list[str] = []
    for first in range(0, runs, 1000):
        batch = [start(f"round {number}, run {n}") for n in range(first, min(runs, first + 1000))]
        ids += [header["workflowID"] for header in client.start_runs(batch)]
    return ids


def start(goal: str) -> dict[str, Any]:
    """One element of `app.start_runs`."""
    return {"intent": {"goal": goal, "inputs": {}, "constraints": {}}, "recipeName": _RECIPE["name"]}


def runner(dsn: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A separate `sisu runner` process on `dsn` that knows the benchmark's handler."""
    path = os.pathsep.join(filter(None, [str(_HERE.parent), os.environ.get("PYTHONPATH")]))
    environment = {"DATABASE_URL": dsn, "PYTHONPATH": path}
    return start_runner(["--import", "bench.noop", "--log-level", "warning", *arguments], environment)


def execute_all(dsn: str, concurrency: int, pumps: int) -> None:
    """Run one runner until nothing is left."""
    code = runner(
        dsn, f"--concurrency={concurrency}", f"--pumps={pumps}", "--queue=intentQ", "--until-idle"
    ).wait(600)
    if code != 0:
        raise click.ClickException(f"the runner ended with {code}")


def measure_ceiling(dsn: str, runs: int) -> float:
    """Steps per second of the bare set-based minimum, two connections, 50 steps a call."""
    with closing(database.connect(dsn)) as conn:
        conn.execute(_SQL["ceiling_schema"])
        conn.execute(_SQL["ceiling_seed"], {"runs": runs})
        conn.execute("analyze ceiling.queue")
        total = runs * STEPS

        def drain(own: Connection[Any]) -> None:
            done: list[int] = []
            idle = 0
            while idle < 3:
                call = {"done": done, "batch": BATCH, "steps": STEPS}
                done = [row[0] for row in own.execute(_SQL["ceiling_call"], call)]
                idle = 0 if done else idle + 1

        with closing(database.connect(dsn)) as first, closing(database.connect(dsn)) as second:
            threads = [threading.Thread(target=drain, args=(own,)) for own in (first, second)]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - began
        row = conn.execute(_SQL["ceiling_count"]).fetchone()
        if not row or row[0] != total:
            raise click.ClickException(f"the ceiling executed {row} of {total} steps")
    return total / seconds


def idle_latency(dsn: str, client: Client, conn: Connection[dict[str, Any]], runs: int) -> list[float]:
    """Milliseconds from start to SUCCESS of single runs on an idle runner, ascending."""
    if not runs:
        return []
    process = runner(dsn)
    try:
        finish(client, "warm-up", 30.0)
        ids = [finish(client, f"latency {n}", 10.0) for n in range(runs)]
    finally:
        stop_sisu(process)
    return [row["ms"] for row in conn.execute(_SQL["latency"], {"run_ids": ids})]


def finish(client: Client, goal: str, patience: float) -> str:
    """Start one run and wait for its end; its id."""
    run_id = str(client.start_runs([start(goal)])[0]["workflowID"])
    deadline = time.monotonic() + patience
    while client.run(run_id)["status"] not in TERMINAL:
        if time.monotonic() > deadline:
            raise click.ClickException(f"run {run_id} did not end within {patience:g} s")
        time.sleep(0.005)
    return run_id


def one(conn: Connection[dict[str, Any]], name: str) -> dict[str, Any]:
    """The only row of a statement."""
    row = conn.execute(_SQL[name]).fetchone()
    assert row is not None, f"{name} answers with one row"
    return row


def percentile(ascending: list[float], share: float) -> float:
    """Nearest rank; 0 for an empty list."""
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))], 2) if ascending else 0.0


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
    table.add_row("ratio", f"{report.ratio:.1%}", f"goal: 25 %; median of {others}")
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
