"""A temporary type of a caller cannot shadow one that a security definer function uses."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import Connection

from sisu_kodo import database


def test_a_caller_makes_no_temporary_objects(empty_dsn: str) -> None:
    database.migrate(empty_dsn)
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        shadow(conn, allowed=True)
        conn.execute("set role app_api")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shadow(conn, allowed=False)


def shadow(conn: Connection[tuple[object, ...]], *, allowed: bool) -> None:
    """Make a temporary type named like one of ours; the owner may, to prove that the statement works."""
    conn.execute("create domain pg_temp.jsonb as pg_catalog.jsonb")
    if allowed:
        conn.execute("drop domain pg_temp.jsonb")
