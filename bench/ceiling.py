"""The ceiling: bare set-based SQL, the least that any engine on this server has to do for a step."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import click
from psycopg import Connection

from sisu_kodo import database

from .common import SQL

BATCH = 50
"""Steps that one call commits, and claims."""
_CONNECTIONS = 2


def measure_ceiling(dsn: str, runs: int, steps: int) -> float:
    """Steps per second of `ceiling_call` (bench.sql) from two connections, for runs of so many steps."""
    prepare_ceiling(dsn, runs)
    return drain_ceiling(dsn, runs, steps)


def prepare_ceiling(dsn: str, runs: int) -> None:
    """The first step of so many runs waits in the ceiling's queue."""
    with closing(database.connect(dsn)) as conn:
        conn.execute(SQL["ceiling_schema"])
        conn.execute(SQL["ceiling_seed"], {"runs": runs})
        conn.execute("analyze ceiling.queue")


def drain_ceiling(dsn: str, runs: int, steps: int) -> float:
    """Execute what `prepare_ceiling` made; steps per second."""
    with closing(database.connect(dsn)) as conn:
        own = [database.connect(dsn) for _ in range(_CONNECTIONS)]
        try:
            threads = [threading.Thread(target=_drain, args=(each, steps)) for each in own]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - began
        finally:
            for each in own:
                each.close()
        row = conn.execute(SQL["ceiling_count"]).fetchone()
        if not row or row[0] != runs * steps:
            raise click.ClickException(f"the ceiling executed {row} of {runs * steps} steps")
    return runs * steps / seconds


def _drain(own: Connection[Any], steps: int) -> None:
    done: list[int] = []
    idle = 0
    while idle < 3:
        call = {"done": done, "batch": BATCH, "steps": steps}
        done = [row[0] for row in own.execute(SQL["ceiling_call"], call)]
        idle = 0 if done else idle + 1
