"""A run that a transaction was left open on says so, and how to end that."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from .session_support import broken_laws, put, register, sessions, start

HOLDS = [
    "select from app.runs where run_id = %s for no key update",
    "select app.cancel_run(%s, 'ann', 'test', dry_run => true)",
    "select app.cancel_run(%s, 'ann', 'test')",
]


def explain(conn: Connection[Any], run: str) -> tuple[Any, ...]:
    row = conn.execute("select why, held_by, unblock from app.explain_run(%s)", [run]).fetchone()
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("savepoint", [False, True])
@pytest.mark.parametrize("hold", HOLDS)
def test_an_open_transaction_is_named(dsn: str, conn: Connection[Any], hold: str, savepoint: bool) -> None:
    put(conn, {})
    register(conn, "a")
    run = start(conn, "run")
    in_line = explain(conn, run)
    assert in_line[1] == "the queue"
    with sessions(dsn) as (one, _):
        one.connection.execute("set application_name = 'a console'")
        if savepoint:
            one.connection.execute("savepoint mine")
        one.rows(hold, run)
        assert explain(conn, run) == in_line, "a call that is under way is none that was left open"
        time.sleep(1.1)
        why, held_by, unblock = explain(conn, run)
        assert why.startswith(f"an open transaction holds the run: process {one.pid} of ")
        assert why.endswith(" (a console), idle in transaction")
        assert (held_by, unblock) == (f"process {one.pid}", f"select pg_terminate_backend({one.pid})")
        conn.execute(unblock)
        deadline = time.monotonic() + 10
        while explain(conn, run) != in_line:
            assert time.monotonic() < deadline, explain(conn, run)
            time.sleep(0.05)
        with pytest.raises(psycopg.OperationalError):
            one.rows("select 1")
    assert broken_laws(conn) == []
