"""The queue extension: the server's own if it offers one, else the SQL that the pgmq package carries."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection

_REFUSED = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFile,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedObject,
)


def ensure_pgmq(conn: Connection[Any]) -> str:
    """Make pgmq available inside the caller's transaction; which way: 'present', 'extension' or 'sql'."""
    row = conn.execute("select to_regtype('pgmq.message_record') is not null").fetchone()
    if row and row[0]:
        return "present"
    offered = conn.execute("select 1 from pg_available_extensions where name = 'pgmq'").fetchone()
    if offered:
        try:
            with conn.transaction():
                conn.execute("create extension pgmq")
            return "extension"
        except _REFUSED:
            pass
    import pgmq  # heavy, and needed once in a database's life

    with conn.transaction():
        conn.execute(pgmq.get_embedded_install_sql().encode(), prepare=False)
    return "sql"
