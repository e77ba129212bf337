"""What the benchmarks share: a database of their own, recipes that do nothing, runners, numbers."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString

import click
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from sisu_kodo import database
from sisu_kodo.cli.processes import start_runner, stop_sisu
from sisu_kodo.client import TERMINAL, Client
from sisu_kodo.queries import parse

from .noop import TASKS

ROOT = Path(__file__).resolve().parents[1]
START_BATCH = 1000
"""Runs that one call of `app.start_runs` starts."""
SLOTS, PUMPS = 1600, 4
"""Of one runner that has the machine to itself: each call may carry 400 results."""


def statements(file: str) -> dict[str, LiteralString]:
    """The named statements of a file of this folder."""
    return parse((Path(__file__).parent / file).read_text(encoding="utf-8"))


SQL = statements("bench.sql")

Row = dict[str, Any]


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


def one(conn: Connection[Row], name: str, **arguments: Any) -> Row:
    """The only row of a statement of bench.sql."""
    row = conn.execute(SQL[name], arguments or None).fetchone()
    assert row is not None, f"{name} answers with one row"
    return row


def function_calls(dsn: str) -> dict[str, int]:
    """Calls of the runners' verbs since the database was made, where `track_functions` is on."""
    with closing(database.connect(dsn, row_factory=dict_row)) as conn:
        return {row["name"]: int(row["calls"]) for row in conn.execute(SQL["function_calls"])}


def track_functions(conn: Connection[Row]) -> None:
    """Have this database count the calls of functions, in connections that begin after this."""
    name = sql.Identifier(conn.info.dbname)
    conn.execute(sql.SQL("alter database {} set track_functions = 'all'").format(name))


def percentile(ascending: Sequence[float], share: float) -> float:
    """Nearest rank; 0 for an empty list."""
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))], 2) if ascending else 0.0


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


# -- recipes and runs ---------------------------------------------------------------------------------------


def recipe(steps: int) -> Row:
    """A chain of so many steps that do nothing."""
    return {
        "name": f"bench-{steps}",
        "steps": [{"stepId": f"Step{n}", "handler": "bench/noop"} for n in range(steps)],
    }


def fan_recipe() -> Row:
    """One step that makes TASKS tasks."""
    fan = {"queue": "sbxQ", "handler": "bench/noop", "maxTasks": TASKS}
    return {"name": "bench-fan", "steps": [{"stepId": "Fan", "handler": "bench/fan", "fanOut": fan}]}


def start(recipe_name: str, goal: str, **options: Any) -> Row:
    """One element of `app.start_runs`."""
    return {
        "intent": {"goal": goal, "inputs": {}, "constraints": {}},
        "recipeName": recipe_name,
        **options,
    }


def start_all(client: Client, recipe_name: str, label: str, runs: int) -> list[str]:
    """Start so many runs in bulk; their ids."""
    ids: list[str] = []
    for first in range(0, runs, START_BATCH):
        last = min(runs, first + START_BATCH)
        batch = [start(recipe_name, f"{label}, run {n}") for n in range(first, last)]
        ids += [header["workflowID"] for header in client.start_runs(batch)]
    return ids


def finish(client: Client, recipe_name: str, goal: str, patience: float) -> str:
    """Start one run and wait for its end; its id."""
    run_id = str(client.start_runs([start(recipe_name, goal)])[0]["workflowID"])
    deadline = time.monotonic() + patience
    while client.run(run_id)["status"] not in TERMINAL:
        if time.monotonic() > deadline:
            raise click.ClickException(f"run {run_id} did not end within {patience:g} s")
        time.sleep(0.005)
    return run_id


def wait_until_over(conn: Connection[Row], patience: float, pause: float = 0.1) -> None:
    """Until no run is in line or under way."""
    deadline = time.monotonic() + patience
    while not one(conn, "is_over")["over"]:
        if time.monotonic() > deadline:
            raise click.ClickException(f"there are runs under way after {patience:.0f} s")
        time.sleep(pause)


# -- runners ------------------------------------------------------------------------------------------------


def runner(dsn: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A separate `sisu runner` process on `dsn` that knows the handlers of the benchmark."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"DATABASE_URL": dsn, "PYTHONPATH": path}
    return start_runner(["--import", "bench.noop", "--log-level", "warning", *arguments], environment)


@contextmanager
def runners(
    dsn: str, conn: Connection[Row], count: int, arguments: Sequence[str] = ()
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many runner processes for the length of the block, from when all of them have registered."""
    before = one(conn, "alive")["count"]
    started = [runner(dsn, *arguments) for _ in range(count)]
    try:
        deadline = time.monotonic() + 60
        while one(conn, "alive")["count"] < before + count:
            if time.monotonic() > deadline or any(each.poll() is not None for each in started):
                raise click.ClickException("a runner did not come up")
            time.sleep(0.05)
        yield started
    finally:
        for each in started:
            each.terminate()
        for each in started:
            stop_sisu(each)


def busy(runner_count: int) -> list[str]:
    """Options of runners that are to work as fast as they can, so many on this machine."""
    slots, pumps = (SLOTS, PUMPS) if runner_count == 1 else (SLOTS // 4, 1)
    return [f"--concurrency={slots}", f"--pumps={pumps}", "--queue=intentQ", "--queue=sbxQ"]
