"""Purges against everybody else: starts, forks, commits that refer to the same content, other purges."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection, IsolationLevel
from psycopg.errors import SerializationFailure
from psycopg.types.json import Jsonb

from .session_support import (
    WORK,
    Session,
    broken_laws,
    put,
    register,
    report,
    result,
    sessions,
    start,
    status,
    wait_until_blocked,
    want,
)

PURGE = "select app.purge_runs('0', 'ann', 'test') as answer"
START = 'select app.start_run(%s, \'{"recipeName": "test"}\') as answer'
BLOBS = "select count(*) from app.artifact_blobs where sha256 <> encode(sha256('none'), 'hex')"


@pytest.fixture
def two(conn: Connection[Any], dsn: str) -> Iterator[tuple[Session, Session]]:
    put(conn, {})
    register(conn, "w")
    with sessions(dsn) as (a, b):
        yield a, b


def finished(conn: Connection[Any], goal: str, *bodies: str) -> str:
    """A run that is over and left these bodies."""
    run_id = start(conn, goal)
    (lane,) = claimed(conn)
    conn.execute(WORK, ["w", commit(lane, *bodies), "{}"])
    assert status(conn, run_id) == "SUCCESS"
    return run_id


def claimed(conn: Connection[Any]) -> list[dict[str, Any]]:
    cursor = conn.execute(WORK, ["w", "[]", want()])
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def commit(lane: dict[str, Any], *bodies: str) -> str:
    artifacts = [
        {"kind": "file", "name": f"f{n}", "body": base64.b64encode(body.encode()).decode()}
        for n, body in enumerate(bodies)
    ]
    return report(result(lane, artifacts=artifacts))


def count(conn: Connection[Any], statement: str) -> Any:
    return (conn.execute(statement.encode()).fetchone() or (None,))[0]


def test_a_start_that_waits_for_the_purge_of_its_run_is_a_replay(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    run_id = finished(conn, "old")
    a, b = two
    assert a.value(PURGE)["purged"] == 1
    waiting = b.later(START, run_id)
    wait_until_blocked(conn, b, a)
    a.commit()
    answer = waiting.result(10)[0]["answer"]
    b.commit()
    assert answer["isReplay"] is True and "purgedAt" in answer
    assert (status(conn, run_id), count(conn, "select count(*) from app.run_steps")) == ("missing", 0)
    assert broken_laws(conn) == []


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_start_with_an_older_snapshot_fails_and_is_a_replay_the_next_time(
    conn: Connection[Any], two: tuple[Session, Session], level: IsolationLevel
) -> None:
    """It cannot see the tombstone, and must not start the run a second time."""
    run_id = finished(conn, "old")
    a, b = two
    b.connection.isolation_level = level
    b.value("select count(*) as answer from app.runs")
    assert a.value(PURGE)["purged"] == 1
    a.commit()
    with pytest.raises(SerializationFailure):
        b.value(START, run_id)
    b.rollback()
    assert b.value(START, run_id)["isReplay"] is True
    b.commit()
    assert status(conn, run_id) == "missing"
    assert broken_laws(conn) == []


def test_in_bulk_only_the_others_start(conn: Connection[Any], two: tuple[Session, Session]) -> None:
    run_id = finished(conn, "old")
    a, b = two
    a.value(PURGE)
    runs = [
        {"intent": {"goal": goal, "inputs": {}, "constraints": {}}, "recipeName": "test"}
        for goal in ("new", "old", "newer")
    ]
    waiting = b.later("select app.start_runs(%s) as answer", Jsonb(runs))
    wait_until_blocked(conn, b, a)
    a.commit()
    assert [one["isReplay"] for one in waiting.result(10)[0]["answer"]] == [False, True, False]
    b.commit()
    assert status(conn, run_id) == "missing"
    assert count(conn, "select count(*) from app.run_steps") == 2
    assert broken_laws(conn) == []


def test_a_start_after_a_purge_that_was_rolled_back_is_a_replay_of_the_run(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    run_id = finished(conn, "old")
    a, b = two
    a.value(PURGE)
    waiting = b.later(START, run_id)
    wait_until_blocked(conn, b, a)
    a.rollback()
    answer = waiting.result(10)[0]["answer"]
    assert answer["isReplay"] is True and "purgedAt" not in answer
    assert status(conn, run_id) == "SUCCESS"


def test_a_run_that_is_being_forked_is_left_alone(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    run_id = finished(conn, "old", "kept")
    a, b = two
    a.rows("select app.fork_run(%s, 0, 'ann', 'test')", run_id)
    assert b.value(PURGE)["purged"] == 0
    b.commit()
    a.commit()
    assert b.value(PURGE)["purged"] == 0, "now it has a fork"
    b.commit()
    assert status(conn, run_id) == "SUCCESS"
    assert broken_laws(conn) == []


def test_a_control_call_that_waits_for_a_purge_hears_of_it(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    run_id = start(conn, "stopped")
    conn.execute("select app.cancel_run(%s, 'ann', 'test')", [run_id])
    a, b = two
    assert a.value(PURGE)["purged"] == 1
    waiting = b.later("select app.resume_run(%s, 'ann', 'test')", run_id)
    wait_until_blocked(conn, b, a)
    a.commit()
    assert getattr(waiting.exception(10), "sqlstate", None) == "PT404"
    b.rollback()
    assert broken_laws(conn) == []


def test_a_content_that_is_about_to_be_used_again_stays(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    finished(conn, "old", "shared", "own")
    new = start(conn, "new")
    (lane,) = claimed(conn)
    a, b = two
    a.rows(WORK, "w", commit(lane, "shared"), "{}")  # it is there already: nothing is written for it
    answer = b.value(PURGE)
    b.commit()
    assert (answer["purged"], answer["bodies"]) == (1, 1), "its own went, the one in use did not"
    a.commit()
    assert status(conn, new) == "SUCCESS"
    assert broken_laws(conn) == []
    answer = b.value(PURGE)
    b.commit()
    assert (answer["purged"], answer["bodies"], count(conn, BLOBS)) == (1, 1, 0)
    assert broken_laws(conn) == []


def test_a_content_that_nobody_used_after_all_goes_the_next_time(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    finished(conn, "old", "shared")
    start(conn, "new")
    (lane,) = claimed(conn)
    a, b = two
    a.rows(WORK, "w", commit(lane, "shared"), "{}")
    assert b.value(PURGE)["bodies"] == 0
    b.commit()
    a.rollback()
    answer = b.value(PURGE)
    b.commit()
    assert (answer["purged"], answer["bodies"], count(conn, BLOBS)) == (0, 1, 0)


def test_a_content_that_is_being_deleted_is_written_anew(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    finished(conn, "old", "shared")
    new = start(conn, "new")
    (lane,) = claimed(conn)
    a, b = two
    assert a.value(PURGE)["bodies"] == 1
    waiting = b.later(WORK, "w", commit(lane, "shared"), "{}")
    wait_until_blocked(conn, b, a)
    a.commit()
    waiting.result(10)
    b.commit()
    assert (status(conn, new), count(conn, BLOBS)) == ("SUCCESS", 1)
    assert broken_laws(conn) == []


def test_two_purges_that_free_the_same_content_free_it_once(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    one, other = finished(conn, "one", "shared"), finished(conn, "other", "shared")
    a, b = two
    purge_one = "select app.purge_runs('0', 'ann', 'test', max_runs => 1) as answer"
    assert a.value(purge_one)["purged"] == 1
    waiting = b.later(purge_one)
    wait_until_blocked(conn, b, a)
    a.commit()
    answer = waiting.result(10)[0]["answer"]
    b.commit()
    assert (answer["purged"], answer["bodies"]) == (1, 1)
    assert (status(conn, one), status(conn, other), count(conn, BLOBS)) == ("missing", "missing", 0)


def test_a_purge_wants_to_see_what_others_commit(two: tuple[Session, Session]) -> None:
    a, _ = two
    a.connection.isolation_level = IsolationLevel.REPEATABLE_READ
    refused = a.later(PURGE).exception(10)
    assert getattr(refused, "sqlstate", None) == "PT409"


def test_a_queue_is_not_truncated_while_somebody_claims(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    start(conn, "new")
    a, b = two
    assert len(a.rows(WORK, "w", "[]", want())) == 1  # not committed: to others the queue is empty
    refused = b.later("select app.shrink_queues(0)").exception(10)
    assert getattr(refused, "sqlstate", None) == "55P03", "at once, it does not wait"
    b.rollback()
    a.commit()
    assert b.value("select app.shrink_queues(0)") == ["controlQ", "sbxQ"], "what is at work stays"
    b.commit()
    assert broken_laws(conn) == []


def test_a_run_that_somebody_holds_does_not_hide_that_there_are_more(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    runs = [finished(conn, f"old {n}") for n in range(5)]
    a, b = two
    b.rows("select run_id from app.runs where run_id = %s for update", runs[0])
    few = "select app.purge_runs('0', 'ann', 'test', max_runs => 2) as answer"
    answers = [a.value(few) for _ in range(4)]
    assert [answer["purged"] for answer in answers] == [1, 1, 1, 1]
    assert answers[0]["more"], "four are left, and one of them is held"
    b.rollback()
    assert a.value(few) | {"bodies": 0} == {
        "accepted": True,
        "purged": 1,
        "bodies": 0,
        "more": False,
        "dryRun": False,
    }


def test_runs_that_somebody_holds_do_not_keep_the_others(
    conn: Connection[Any], two: tuple[Session, Session]
) -> None:
    runs = [finished(conn, f"old {n}") for n in range(5)]
    a, b = two
    b.rows("select run_id from app.runs where run_id = any (%s) for update", runs[:2])
    few = "select app.purge_runs('0', 'ann', 'test', max_runs => 2) as answer"
    answers = [a.value(few) for _ in range(3)]
    assert [(answer["purged"], answer["more"]) for answer in answers] == [(2, True), (1, True), (0, False)]
    left = "select array_agg(run_id order by created_at) from app.runs"
    assert a.value(left) == runs[:2]
    a.commit()
    assert broken_laws(conn) == []
