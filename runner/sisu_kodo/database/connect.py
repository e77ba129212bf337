"""One way to open a connection, with errors that say what to do."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from .errors import Unreachable


def connect(dsn: str, **options: Any) -> Connection[Any]:
    """Connect with psycopg; autocommit and the application name 'sisu' unless `options` say otherwise.

    Raises Unreachable, whose text never holds a password.
    """
    # nothing is prepared: a pooler in transaction mode may send the next statement to another connection
    defaults = {
        "autocommit": True,
        "prepare_threshold": None,
        "application_name": "sisu",
        "connect_timeout": 10,
    }
    try:
        return psycopg.connect(dsn, **{**defaults, **options})
    except psycopg.OperationalError as error:
        raise Unreachable(
            f"no connection to {where(dsn)}: {str(error).strip()}", "is the server up? see `sisu db status`"
        ) from error
    except psycopg.ProgrammingError:
        raise Unreachable(
            "the connection string cannot be read", "write it as postgresql://user@host/database"
        ) from None


def connect_patiently(dsn: str, seconds: float) -> Connection[Any]:
    """Like connect, but gives a server that is starting up that long to answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return connect(dsn)
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def where(dsn: str) -> str:
    """Host and database of a DSN, without user or password, for messages."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "an unreadable connection string"
    return f"{parts.get('host', 'the default host')}/{parts.get('dbname', 'the default database')}"
