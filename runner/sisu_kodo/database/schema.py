"""What is in the database: migrate to this version, empty it, and say how it stands."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import closing
from typing import Any

import psycopg
from psycopg import Connection, sql

from .connect import connect
from .errors import DatabaseError
from .paths import migrations_dir, replay_module, sql_dir
from .pgmq import ensure_pgmq

OLDEST_SERVER = 150000
_TRIES = 10
_OURS = ("app", "app_test", "dbos", "pgmq")


def migrate(dsn: str, *, queue_partition: bool | None = None) -> None:
    """Bring the database at `dsn` to this version, in one transaction: pgmq, revisions, code, queues.

    `queue_partition` true or false makes intentQ and sbxQ partitioned or not; None leaves them as they are.
    Concurrent calls wait for one another; a database that is there already only gets its queues checked.
    Runners may be at work meanwhile. Raises DatabaseError with the file and line of a statement that failed.
    """
    from alembic import command  # half a second to import, and most commands never migrate
    from alembic.config import Config as AlembicConfig

    for tries_left in reversed(range(_TRIES)):
        with closing(connect(dsn, autocommit=False)) as conn:
            if conn.info.server_version < OLDEST_SERVER:
                raise DatabaseError(
                    f"Postgres {conn.info.server_version // 10000} is too old", "15 or newer is needed"
                )
            alembic = AlembicConfig(attributes={"connection": conn, "queue_partition": queue_partition})
            alembic.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
            try:
                return command.upgrade(alembic, "head")
            except psycopg.errors.DeadlockDetected as error:
                # its locks met those of runners at work; nothing was done
                if not tries_left:
                    raise _failed(error) from error
            except psycopg.Error as error:
                raise _failed(error) from error


def _failed(error: psycopg.Error) -> DatabaseError:
    place = " ".join(getattr(error, "__notes__", []))
    text = error.diag.message_primary or str(error).strip()
    return DatabaseError(f"{text} {place}".strip(), error.diag.message_hint or "")


def register_builtin(dsn: str) -> bool:
    """Put the recipes that ship with the program into the database; False when this build ships none."""
    if importlib.util.find_spec("sisu_kodo.builtin") is None:
        return False
    with closing(connect(dsn)) as conn:
        importlib.import_module("sisu_kodo.builtin").register_recipes(conn)
    return True


def drop_everything(dsn: str) -> None:
    """Drop our schemas with all they hold: runs, artifacts, queues. What else is in the database stays."""
    with closing(connect(dsn, autocommit=False)) as conn:
        _drop(conn, _OURS)
        conn.commit()


def rebuild_system(dsn: str) -> None:
    """Throw away the queue tables and make them anew from the runs.

    One transaction: what is under way keeps its lease and goes on, claims and commits wait meanwhile.
    """
    for tries_left in reversed(range(_TRIES)):
        with closing(connect(dsn, autocommit=False)) as conn:
            try:
                is_ours = _one(conn, "select to_regproc('app.rebuild_dispatch') is not null")
                if is_ours:
                    # before any queue table: whoever has a lock on one of those has read this one
                    conn.execute("lock table app.queues in access exclusive mode")
                _drop(conn, ("pgmq",))
                if is_ours:
                    ensure_pgmq(conn)
                    conn.execute("select app.rebuild_dispatch()")
                return conn.commit()
            except psycopg.errors.DeadlockDetected as error:
                # its locks met those of runners at work; nothing was done
                if not tries_left:
                    raise _failed(error) from error


def _drop(conn: Connection[Any], schemas: tuple[str, ...]) -> None:
    conn.execute("set local client_min_messages = warning")
    conn.execute("drop extension if exists pgmq cascade")
    names = sql.SQL(", ").join(map(sql.Identifier, schemas))
    conn.execute(sql.SQL("drop schema if exists {} cascade").format(names))


def describe(dsn: str) -> dict[str, Any]:
    """Server version, installed revision, whether functions are those of this version, size in bytes."""
    with closing(connect(dsn)) as conn:
        installed = bool(_one(conn, "select to_regclass('app.alembic_version') is not null"))
        revision, stored = _installed(conn) if installed else (None, None)
        return {
            "serverVersion": conn.info.parameter_status("server_version"),
            "database": conn.info.dbname,
            "sizeBytes": _one(conn, "select pg_database_size(current_database())"),
            "revision": revision,
            "codeCurrent": stored is not None and stored == replay_module().code_hash(sql_dir()),
        }


def _installed(conn: Connection[Any]) -> tuple[Any, Any]:
    """Revision and code hash: from the tables, or as a role may ask for them."""
    if _one(conn, "select has_table_privilege('app.settings', 'select')"):
        revision = _one(conn, "select version_num from app.alembic_version")
        return revision, _one(conn, "select value from app.settings where key = 'code_hash'")
    health = _one(conn, "select app.health()")
    return health["revision"], health["codeHash"]


def _one(conn: Connection[Any], query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None
