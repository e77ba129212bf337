"""`make bench-http`: POST /api/runs beside the same SQL, called directly.

CLIENTS clients, each with one connection, start runs of a recipe of one step, one after the other: first over
HTTP against one `sisu api` process, then through `app.start_run` on as many database connections. The intents
are there already; nothing executes. Both are measured ROUNDS times in turn, each side for as long as it takes
to start RUNS runs but at most SIDE_SECONDS; the round whose HTTP p50 is the median is reported.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.table import Table

from sisu_kodo import database
from sisu_kodo.cli.processes import start_sisu, stop_sisu
from sisu_kodo.client import connected
from sisu_kodo.config import load_config
from sisu_kodo.queries import query

from .common import SQL, free_port, percentile, recipe, scratch_database

CLIENTS = 16
ROUNDS = 3
SIDE_SECONDS = 10.0
_CONNECT_SECONDS = 30.0
_RECIPE = recipe(1)

Start = Callable[[str], None]
"""Starts the run of an intent."""


@dataclass(frozen=True)
class Side:
    """One way to start runs: milliseconds a start, and starts a second over all clients."""

    p50_ms: float
    p99_ms: float
    per_second: float
    starts: int


@dataclass(frozen=True)
class Report:
    """The median round."""

    python: str
    cores: int
    clients: int
    runs: int
    http: Side
    sql: Side


@click.command()
@click.option(
    "--runs", type=click.IntRange(CLIENTS), default=1600, show_default=True, help="A round and side, at most."
)
@click.option("--clients", type=click.IntRange(1, 100), default=CLIENTS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(runs: int, clients: int, as_json: bool) -> None:
    """Measure starts of runs over HTTP and through SQL."""
    report = measure(runs, clients)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        show(report)


def measure(runs: int, clients: int) -> Report:
    """Run both sides in a database made for them and dropped afterwards."""
    with scratch_database(database.ensure_up(load_config())) as dsn, connected(dsn) as client:
        client.put_recipe(_RECIPE)
        rounds: list[tuple[Side, Side]] = []
        with api(dsn, clients) as port:
            for number in range(ROUNDS):
                over_http = side(intents(dsn, f"http {number}", runs), clients, lambda: http_start(port))
                through_sql = side(intents(dsn, f"sql {number}", runs), clients, lambda: sql_start(dsn))
                rounds.append((over_http, through_sql))
    rounds.sort(key=lambda each: each[0].p50_ms)
    middle = rounds[len(rounds) // 2]
    return Report(platform.python_version(), os.cpu_count() or 0, clients, runs, *middle)


@contextmanager
def api(dsn: str, clients: int) -> Iterator[int]:
    """One `sisu api` process; its port."""
    port = free_port()
    environment = {"DATABASE_URL": dsn, "PORT": str(port), "SISU_API_POOL": str(clients)}
    process = start_sisu("api", ["--log-level", "warning"], environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise click.ClickException("the API did not start") from None
                time.sleep(0.05)
        yield port
    finally:
        stop_sisu(process)


def intents(dsn: str, name: str, count: int) -> list[str]:
    """So many intents; their ids."""
    with closing(database.connect(dsn)) as conn:
        return [row[0] for row in conn.execute(SQL["make_intents"], {"label": name, "count": count})]


def side(ids: list[str], clients: int, connect: Callable[[], AbstractContextManager[Start]]) -> Side:
    """Start the runs of `ids`, each client its share, one after the other, for at most SIDE_SECONDS.

    Raises the first error of a client; the others stop with it.
    """
    times: list[float] = []
    errors: list[BaseException] = []
    ready = threading.Barrier(clients + 1)

    def starts(own: list[str]) -> None:
        try:
            with connect() as start:
                start(own[0])  # the connection is warm
                ready.wait(_CONNECT_SECONDS)
                last = time.perf_counter() + SIDE_SECONDS
                for intent in own[1:]:
                    began = time.perf_counter()
                    if errors or began > last:
                        break
                    start(intent)
                    times.append((time.perf_counter() - began) * 1000)
        except Exception as error:
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=starts, args=(ids[n::clients],), daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):
        ready.wait(_CONNECT_SECONDS)
    began = time.perf_counter()
    for thread in threads:
        thread.join(SIDE_SECONDS + _CONNECT_SECONDS)
    seconds = time.perf_counter() - began
    told = [each for each in errors if not isinstance(each, threading.BrokenBarrierError)] or errors
    if told or not times:
        reason = str(told[0]) if told else "no start was answered"
        raise click.ClickException(f"a client stopped: {reason}") from (told[0] if told else None)
    times.sort()
    return Side(percentile(times, 0.50), percentile(times, 0.99), round(len(times) / seconds, 1), len(times))


@contextmanager
def http_start(port: int) -> Iterator[Start]:
    """One kept HTTP connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def start(intent: str) -> None:
        connection.request(
            "POST", "/api/runs", json.dumps({"intentId": intent, "recipeName": _RECIPE["name"]})
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise click.ClickException(f"{answer.status} instead of 201")

    with closing(connection):
        yield start


@contextmanager
def sql_start(dsn: str) -> Iterator[Start]:
    """One database connection."""
    options = json.dumps({"recipeName": _RECIPE["name"]})
    with closing(database.connect(dsn, prepare_threshold=None)) as connection:

        def start(intent: str) -> None:
            connection.execute(query("start_run"), {"intent_id": intent, "options": options}).fetchone()

        yield start


def show(report: Report) -> None:
    """Print the report for people."""
    out = Console(width=None if sys.stdout.isatty() else 100)
    out.print(f"Python {report.python}, {report.cores} cores, {report.clients} clients")
    table = Table(box=None, pad_edge=False)
    for title in ("", "p50 ms", "p99 ms", "starts/s", "starts"):
        table.add_column(title, justify="left" if not title else "right")
    for name, each in (("POST /api/runs", report.http), ("app.start_run", report.sql)):
        table.add_row(
            name, f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}", f"{each.per_second:.0f}", f"{each.starts:,}"
        )
    out.print(table)


if __name__ == "__main__":
    main()
