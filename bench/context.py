"""What a section is given: the server, the sizes, a database of its own, a voice."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from sisu_kodo import database
from sisu_kodo.client import Client, connected

from .common import SQL, Row, runners, scratch_database, statements

_SEED = statements("seed.sql")
_CHUNK = 100_000
"""Rows that one statement of seed.sql makes."""


@dataclass(frozen=True)
class Place:
    """A scratch database with a client and a connection, both autocommit."""

    dsn: str
    client: Client
    conn: Connection[Row]

    @contextmanager
    def runners(self, count: int, arguments: Sequence[str] = ()) -> Iterator[list[subprocess.Popen[bytes]]]:
        """As `common.runners`."""
        with runners(self.dsn, self.conn, count, arguments) as started:
            yield started


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark. `scale` shrinks every size; the others are options of the command."""

    server: str
    scale: float = 1.0
    snapshot_minutes: float = 10.0
    memory_runs: int = 100_000
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)

    def size(self, full: int, least: int = 1) -> int:
        """A size at this scale."""
        return max(least, round(full * self.scale))

    @contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """A database made for the block and dropped after it."""
        with (
            scratch_database(self.server, f"bench_{name}") as dsn,
            connected(dsn) as client,
            closing(database.connect(dsn, row_factory=dict_row)) as conn,
        ):
            yield Place(dsn, client, conn)

    def seed(self, place: Place, statement: str, count: int, **arguments: Any) -> None:
        """Have a statement of seed.sql make so many runs, with the triggers and checks of a restore.

        Needs a superuser. The planner's statistics are made afterwards, by `settle`.
        """
        with closing(database.connect(place.dsn)) as conn:
            conn.execute(_SEED["begin_seed"])
            for first in range(0, count, _CHUNK):
                self.say(f"{statement}: {first:,} of {count:,} rows")
                last = min(count, first + _CHUNK)
                conn.execute(_SEED[statement], {"first": first + 1, "last": last, **arguments})
            conn.execute(_SEED["end_seed"])

    def settle(self, place: Place) -> None:
        """What autovacuum would have done by tomorrow."""
        self.say("vacuum, analyze, checkpoint")
        with closing(database.connect(place.dsn)) as conn:
            conn.execute("vacuum analyze")
            conn.execute("checkpoint")


@contextmanager
def worker(
    dsn: str, name: str, version: str, queues: Sequence[str] = ("intentQ",)
) -> Iterator[Connection[Row]]:
    """A connection that plays a runner by hand: registered, and retired at the end."""
    with closing(database.connect(dsn, row_factory=dict_row)) as conn:
        conn.execute(SQL["register"], {"worker": name, "version": version, "queues": list(queues)})
        yield conn


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds of a call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
