"""The database: an embedded engine or a server of the user's own, its schema, and connections to it.

Every function takes the frozen Config (or a DSN) and can be called from a test; the CLI only prints.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from psycopg import pq, sql

from ..config import Config
from . import schema
from .binaries import find_bin
from .connect import connect, connect_patiently, where
from .engine import DATABASE, Engine
from .errors import DatabaseError, EngineError, Refused, Unreachable
from .schema import migrate, register_builtin

__all__ = [
    "DatabaseError", "Engine", "EngineError", "Refused", "Unreachable",
    "connect", "delete", "down", "ensure_up", "find_bin", "migrate",
    "psql", "register_builtin", "reset", "status", "where",
]  # fmt: skip

_START_SECONDS = 60.0


def engine_of(config: Config) -> Engine:
    """The embedded engine that belongs to these settings."""
    return Engine(config.sisu_home, config.pg_bin)


def ensure_up(config: Config) -> str:
    """The DSN to use: DATABASE_URL if given (it must answer), else the embedded engine's, which is started.

    The embedded database is created if it does not exist; its schema is `migrate`'s business.
    Raises DatabaseError.
    """
    if config.database_url:
        connect(config.database_url).close()
        return config.database_url
    engine = engine_of(config)
    engine.start()
    with closing(connect_patiently(engine.dsn("postgres"), _START_SECONDS)) as conn:
        conn.execute("select pg_advisory_lock(hashtextextended('sisu_kodo.create', 0))")
        if not conn.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    return engine.dsn()


def down(config: Config) -> bool:
    """Stop the embedded engine; False when it did not run. A server of DATABASE_URL is never touched."""
    return engine_of(config).stop()


def delete(config: Config) -> None:
    """Stop the embedded engine and remove its data for good."""
    engine_of(config).delete()


def reset(config: Config, *, system_only: bool = False) -> str:
    """Empty our schemas and migrate anew: all runs are lost.

    With `system_only` just what is derived goes, the queue tables, and is made anew from the runs: nothing is
    lost. Returns the DSN.
    """
    dsn = ensure_up(config)
    if system_only:
        schema.rebuild_system(dsn)
    else:
        schema.drop_everything(dsn)
    migrate(dsn, queue_partition=config.sbx_queue_partition)
    return dsn


def psql(config: Config, args: Sequence[str] = ()) -> int:
    """Run psql on the database with `args`; its exit code. No password gets on a command line."""
    dsn = ensure_up(config)
    program = find_bin(config.pg_bin) / "psql"
    options = [option for option in pq.Conninfo.parse(dsn.encode()) if option.val is not None]
    variables = {o.envvar.decode(): (o.val or b"").decode() for o in options if o.envvar}
    rest = [f"{o.keyword.decode()}={(o.val or b'').decode()}" for o in options if not o.envvar]
    with _interrupts_left_to_the_child():
        command = [str(program), *(["-d", " ".join(rest)] if rest else []), *args]
        return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode


@contextmanager
def _interrupts_left_to_the_child() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def status(config: Config) -> dict[str, Any]:
    """How the database stands; starts nothing.

    Keys: kind, running, dsn or where, data, log; if it answers those of `schema.describe`: serverVersion,
    database, sizeBytes, revision, codeCurrent.
    """
    if config.database_url:
        found: dict[str, Any] = {"kind": "given", "where": where(config.database_url)}
        dsn = config.database_url
    else:
        engine = engine_of(config)
        dsn = engine.dsn()
        found = {"kind": "embedded", "dsn": dsn, "data": str(engine.data), "log": str(engine.log)}
        if not engine.is_running():
            return {**found, "running": False}
    try:
        return {**found, "running": True, **schema.describe(dsn)}
    except Unreachable as error:
        return {**found, "running": False, "reason": str(error)}
