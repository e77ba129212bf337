"""What is in the database: migrate to this version, empty it, and say how it stands."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import closing
from typing import Any

import psycopg
from psycopg import Connection, sql

from .connect import connect
from .errors import DatabaseError, Refused
from .paths import migrations_dir, replay_module, sql_dir

OLDEST_SERVER = 150000
_OURS = ("app", "app_test", "dbos", "pgmq")


def migrate(dsn: str, *, queue_partition: bool | None = None) -> None:
    """Bring the database at `dsn` to this version, in one transaction: pgmq, revisions, code, queues.

    `queue_partition` true or false makes intentQ and sbxQ partitioned or not; None leaves them as they are.
    Concurrent calls wait for one another; a database that is there already only gets its queues checked.
    Raises DatabaseError with the file and line of a statement that failed.
    """
    from alembic import command  # half a second to import, and most commands never migrate
    from alembic.config import Config as AlembicConfig

    with closing(connect(dsn, autocommit=False)) as conn:
        if conn.info.server_version < OLDEST_SERVER:
            raise DatabaseError(
                f"Postgres {conn.info.server_version // 10000} is too old", "15 or newer is needed"
            )
        alembic = AlembicConfig(attributes={"connection": conn, "queue_partition": queue_partition})
        alembic.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
        try:
            command.upgrade(alembic, "head")
        except psycopg.Error as error:
            place = " ".join(getattr(error, "__notes__", []))
            text = error.diag.message_primary or str(error).strip()
            raise DatabaseError(f"{text} {place}".strip(), error.diag.message_hint or "") from error


def register_builtin(dsn: str) -> bool:
    """Put the recipes that ship with the program into the database; False when this build ships none."""
    if importlib.util.find_spec("sisu_kodo.builtin") is None:
        return False
    with closing(connect(dsn)) as conn:
        importlib.import_module("sisu_kodo.builtin").register_recipes(conn)
    return True


def drop_everything(dsn: str) -> None:
    """Drop our schemas with all they hold: runs, artifacts, queues. What else is in the database stays."""
    _drop(dsn, _OURS)


def drop_system(dsn: str) -> None:
    """Drop the queue tables and the compatibility schema only. Raises Refused while a run is unfinished."""
    with closing(connect(dsn)) as conn:
        if _one(conn, "select to_regclass('app.runs') is not null"):
            unfinished = _one(conn, "select count(*) from app.runs where ended_at is null")
            if unfinished:
                raise Refused(f"{unfinished} runs are unfinished and their messages would be lost",
                              "let them end, cancel them, or use db reset")  # fmt: skip
            conn.execute("delete from app.settings where key = 'code_hash'")
    _drop(dsn, ("dbos", "pgmq"))


def _drop(dsn: str, schemas: tuple[str, ...]) -> None:
    with closing(connect(dsn, autocommit=False)) as conn:
        conn.execute("set local client_min_messages = warning")
        conn.execute("drop extension if exists pgmq cascade")
        names = sql.SQL(", ").join(map(sql.Identifier, schemas))
        conn.execute(sql.SQL("drop schema if exists {} cascade").format(names))
        conn.commit()


def describe(dsn: str) -> dict[str, Any]:
    """Server version, installed revision, whether functions are those of this version, size in bytes."""
    with closing(connect(dsn)) as conn:
        installed = bool(_one(conn, "select to_regclass('app.alembic_version') is not null"))
        stored = _one(conn, "select value from app.settings where key = 'code_hash'") if installed else None
        return {
            "serverVersion": conn.info.parameter_status("server_version"),
            "database": conn.info.dbname,
            "sizeBytes": _one(conn, "select pg_database_size(current_database())"),
            "revision": _one(conn, "select version_num from app.alembic_version") if installed else None,
            "codeCurrent": stored is not None and stored == replay_module().code_hash(sql_dir()),
        }


def _one(conn: Connection[Any], query: str) -> Any:
    row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None
