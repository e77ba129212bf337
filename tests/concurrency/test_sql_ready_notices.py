"""NOTIFY sisu_ready: one notice per queue and transaction when a step is in line, none when nothing is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg import Connection

from tests.concurrency.session_support import WORK, put, register, report, result, sessions, start, want


@pytest.fixture
def listener(connect: Any) -> Connection[Any]:
    """A connection of its own that hears what is committed."""
    own: Connection[Any] = connect()
    own.execute("listen sisu_ready")
    return own


def heard(listener: Connection[Any]) -> list[str]:
    """Payloads that have arrived since last time, sorted. Notices of committed work are there already."""
    return sorted(notice.payload for notice in listener.notifies(timeout=0.2))


def test_a_start_is_heard_once_for_the_whole_transaction(
    conn: Connection[Any], listener: Connection[Any]
) -> None:
    put(conn, {})
    assert heard(listener) == [], "a recipe is no work"
    runs = [
        {"intent": {"goal": f"run {n}", "inputs": {}, "constraints": {}}, "recipeName": "test"}
        for n in range(50)
    ]
    conn.execute("select app.start_runs(%s::jsonb)", [json.dumps(runs)])
    assert heard(listener) == ["intentQ"]
    conn.execute("select app.start_runs(%s::jsonb)", [json.dumps(runs)])
    assert heard(listener) == [], "a replay is no work"


def test_a_start_is_heard_when_it_is_committed_and_not_before(
    dsn: str, conn: Connection[Any], listener: Connection[Any]
) -> None:
    put(conn, {})
    with sessions(dsn) as (caller, other):
        for session in (caller, other):
            run = {"intent": {"goal": "one", "inputs": {}, "constraints": {}}, "recipeName": "test"}
            session.rows("select app.start_runs(%s::jsonb)", json.dumps([run]))
            assert heard(listener) == []
            if session is caller:
                session.rollback()
            else:
                session.commit()
        assert heard(listener) == ["intentQ"]


def test_every_way_into_the_line_is_heard(conn: Connection[Any], listener: Connection[Any]) -> None:
    retry = {"maxAttempts": 9, "retryableCodes": ["again", "later"]}
    put(
        conn,
        {"retry": {**retry, "backoff": {"initialMS": 60000}}},
        {"gate": {"key": "approve-plan"}, "fanOut": {"queue": "sbxQ", "handler": "test/task"}},
        {"queue": "controlQ"},
    )
    register(conn, "w")

    def work(results: str = "[]", wanted: str = "{}") -> list[dict[str, Any]]:
        cursor = conn.execute(WORK.encode(), ["w", results, wanted])
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    run = start(conn, "run")
    assert heard(listener) == ["intentQ"]
    [lane] = work(wanted=want())
    error = {"code": "later", "message": "not yet"}
    work(report(result(lane, status="ERROR", error=error)))
    assert heard(listener) == [], "a retry that waits for its backoff is not ready"
    conn.execute("select app.advance('61 seconds')")
    work(wanted=json.dumps({"recover": True}))
    assert heard(listener) == ["intentQ"], "its timer fired"
    [lane] = work(wanted=want())
    work(report(result(lane)))
    assert heard(listener) == [], "the run waits for a human"
    conn.execute("select app.approve_plan(%s, 'me')", [run])
    assert heard(listener) == ["intentQ"], "the gate was answered"
    [lane] = work(wanted=want())
    work(report(result(lane, tasks=[1, 2, 3])))
    assert heard(listener) == ["sbxQ"], "three tasks"
    lanes = work(wanted=want(3))
    leases = [{key: value for key, value in result(lane).items() if key not in ("attempt", "status")}
              for lane in lanes[:1]]  # fmt: skip
    conn.execute("select app.release('w', %s::jsonb)", [json.dumps(leases)])
    assert heard(listener) == ["sbxQ"], "a lane was given back"
    work(report(*map(result, lanes[1:])))
    assert heard(listener) == [], "two tasks are over, one is in line already"
    work(report(*map(result, work(wanted=want()))))
    assert heard(listener) == ["controlQ"], "the next step is on another queue"


def test_a_queue_that_is_served_again_is_heard(conn: Connection[Any], listener: Connection[Any]) -> None:
    conn.execute("select app.pause_queue('sbxQ', 'ann', 'x'), app.unpause_queue('sbxQ', 'ann', 'x', true)")
    assert heard(listener) == []
    conn.execute("select app.unpause_queue('sbxQ', 'ann', 'x')")
    assert heard(listener) == ["sbxQ"]
