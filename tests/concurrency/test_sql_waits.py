"""Calls that waited for a lock: what they write bears the time at which they got it."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from .session_support import (
    WORK,
    broken_laws,
    put,
    register,
    report,
    result,
    sessions,
    start,
    wait_until_blocked,
    want,
)

HOLD = "select from app.runs where run_id = %s for no key update"
SELECTION = "jsonb_build_object('runIds', jsonb_build_array(%s::text))"
CANCELS = [
    f"select * from app.cancel_batch({SELECTION}, 'bob', 'test')",
    "select app.cancel_run(%s, 'bob', 'test')",
]
FORK = f"select * from app.fork_batch({SELECTION}, 0, 'bob', 'test')"


@pytest.mark.parametrize("call", CANCELS)
def test_a_cancel_that_waited_for_a_resume_comes_after_it(dsn: str, conn: Connection[Any], call: str) -> None:
    put(conn, {})
    run = start(conn, "run")
    conn.execute("select app.cancel_run(%s, 'ann', 'test')", [run])
    with sessions(dsn) as (one, two):
        one.rows(HOLD, run)
        waiting = two.later(call, run)
        wait_until_blocked(conn, two, one)
        one.rows("select app.resume_run(%s, 'ann', 'test')", run)
        one.commit()
        waiting.result(10)
        two.commit()
    times = "select status, ended_at >= reopened_at from app.runs where run_id = %s"
    assert conn.execute(times, [run]).fetchone() == ("CANCELLED", True)
    assert broken_laws(conn) == []


def test_a_fork_that_waited_for_its_source_begins_after_it(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        one.rows(HOLD, run)
        waiting = two.later(FORK, run)
        wait_until_blocked(conn, two, one)
        one.rows("select app.cancel_run(%s, 'ann', 'test')", run)
        one.commit()
        (made,) = waiting.result(10)
        two.commit()
    later = """
        select f.created_at >= r.ended_at from app.runs as r, app.runs as f
        where r.run_id = %s and f.run_id = %s
    """
    assert conn.execute(later, [run, made["forked_run_id"]]).fetchone() == (True,)
    assert broken_laws(conn) == []


def test_an_answer_that_waited_until_its_gate_was_open_comes_after_that(
    dsn: str, conn: Connection[Any]
) -> None:
    put(conn, {}, {"gate": {"key": "approve-plan"}})
    register(conn, "a")
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        (lane,) = one.rows(WORK, "a", "[]", want())
        one.commit()
        one.rows(HOLD, run)
        waiting = two.later("select app.approve_plan(%s, 'ann')", run)
        wait_until_blocked(conn, two, one)
        one.rows(WORK, "a", report(result(lane)), "{}")
        one.commit()
        waiting.result(10)
        two.commit()
    times = "select status, answered_at >= opened_at from app.gates where run_id = %s"
    assert conn.execute(times, [run]).fetchone() == ("ANSWERED", True)
    assert broken_laws(conn) == []


def test_an_answer_that_waited_until_its_gate_was_over_comes_too_late(
    dsn: str, conn: Connection[Any]
) -> None:
    put(conn, {"gate": {"key": "approve-plan", "ttlMS": 300}})
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        one.rows(HOLD, run)
        waiting = two.later("select app.approve_plan(%s, 'ann')", run)
        wait_until_blocked(conn, two, one)
        one.rows("select pg_sleep(0.5)")
        one.commit()
        with pytest.raises(Exception, match="approve-plan"):
            waiting.result(10)
    assert broken_laws(conn) == []


def test_a_result_that_waited_for_a_resume_comes_after_it(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    register(conn, "a")
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        (lane,) = one.rows(WORK, "a", "[]", want())
        one.commit()
        conn.execute("select app.cancel_run(%s, 'ann', 'test')", [run])
        one.rows(HOLD, run)
        waiting = two.later(WORK, "a", report(result(lane)), "{}")
        wait_until_blocked(conn, two, one)
        one.rows("select app.resume_run(%s, 'ann', 'test')", run)
        one.commit()
        waiting.result(10)
        two.commit()
    times = """
        select r.status, r.ended_at >= r.reopened_at, s.ended_at between r.reopened_at and r.ended_at
        from app.runs as r join app.run_steps as s using (run_id) where r.run_id = %s
    """
    assert conn.execute(times, [run]).fetchone() == ("SUCCESS", True, True)
    assert broken_laws(conn) == []
