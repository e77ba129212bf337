"""Calls that waited for a lock: what they write bears the time at which they got it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from .session_support import (
    JSON,
    WORK,
    Session,
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

SCHEDULES = "select from app.schedules for update"
HOLD = "select from app.runs where run_id = %s for no key update"
SELECTION = "jsonb_build_object('runIds', jsonb_build_array(%s::text))"
CANCELS = [
    f"select * from app.cancel_batch({SELECTION}, 'bob', 'test')",
    "select app.cancel_run(%s, 'bob', 'test')",
]
PUT_SCHEDULE = """
    select app.put_schedule('{"name": "n", "intent": {"goal": "g", "inputs": {}, "constraints": {}},
      "options": {"recipeName": "test"}}'::jsonb || jsonb_build_object('cron', %s::text), 'ann', 'test')
"""
TICK = "select app.advance((select next_at from app.schedules) - app.now() + interval '1 second')"
FORK = f"select * from app.fork_batch({SELECTION}, 0, 'bob', 'test')"


@contextmanager
def behind(
    dsn: str, conn: Connection[Any], hold: Sequence[str], call: str, *arguments: str
) -> Iterator[tuple[Session, list[JSON]]]:
    """The call waits for a transaction, the body's, that commits behind it; only then the rows are there."""
    rows: list[JSON] = []
    with sessions(dsn) as (one, two):
        one.rows(*hold)
        waiting = two.later(call, *arguments)
        wait_until_blocked(conn, two, one)
        yield one, rows
        one.commit()
        rows += waiting.result(10)
        two.commit()


@pytest.mark.parametrize("call", CANCELS)
def test_a_cancel_that_waited_for_a_resume_comes_after_it(dsn: str, conn: Connection[Any], call: str) -> None:
    put(conn, {})
    run = start(conn, "run")
    conn.execute("select app.cancel_run(%s, 'ann', 'test')", [run])
    with behind(dsn, conn, [HOLD, run], call, run) as (one, _):
        one.rows("select app.resume_run(%s, 'ann', 'test')", run)
    times = "select status, ended_at >= reopened_at from app.runs where run_id = %s"
    assert conn.execute(times, [run]).fetchone() == ("CANCELLED", True)
    assert broken_laws(conn) == []


def test_a_fork_that_waited_for_its_source_begins_after_it(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    run = start(conn, "run")
    with behind(dsn, conn, [HOLD, run], FORK, run) as (one, answer):
        one.rows("select app.cancel_run(%s, 'ann', 'test')", run)
    (made,) = answer
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
    with sessions(dsn, 1) as (worker,):
        (lane,) = worker.rows(WORK, "a", "[]", want())
        worker.commit()
    with behind(dsn, conn, [HOLD, run], "select app.approve_plan(%s, 'ann')", run) as (one, _):
        one.rows(WORK, "a", report(result(lane)), "{}")
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
    with sessions(dsn, 1) as (worker,):
        (lane,) = worker.rows(WORK, "a", "[]", want())
        worker.commit()
    conn.execute("select app.cancel_run(%s, 'ann', 'test')", [run])
    with behind(dsn, conn, [HOLD, run], WORK, "a", report(result(lane)), "{}") as (one, _):
        one.rows("select app.resume_run(%s, 'ann', 'test')", run)
    times = """
        select r.status, r.ended_at >= r.reopened_at, s.ended_at between r.reopened_at and r.ended_at
        from app.runs as r join app.run_steps as s using (run_id) where r.run_id = %s
    """
    assert conn.execute(times, [run]).fetchone() == ("SUCCESS", True, True)
    assert broken_laws(conn) == []


def test_a_schedule_that_is_changed_while_it_ticks_goes_on_after_the_tick(
    dsn: str, conn: Connection[Any]
) -> None:
    put(conn, {})
    conn.execute("select app.put_setting('test_database', 'true')")
    conn.execute(PUT_SCHEDULE.encode(), ["0-59 * * * *"])
    with behind(dsn, conn, [SCHEDULES], PUT_SCHEDULE, "* * * * *") as (one, _):
        conn.execute(TICK)
        assert one.value("select app.fire_schedules()") == 1
    assert conn.execute("select cron, next_at > app.now() from app.schedules").fetchone() == (
        "* * * * *",
        True,
    )
    assert broken_laws(conn) == []


def test_a_schedule_whose_unpause_waited_catches_up_nothing(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    conn.execute("select app.put_setting('test_database', 'true')")
    conn.execute(PUT_SCHEDULE.encode(), ["* * * * *"])
    conn.execute("select app.pause_schedule('n', 'ann', 'test')")
    with behind(dsn, conn, [SCHEDULES], "select app.unpause_schedule('n', 'ann', 'test')"):
        conn.execute("select app.advance('5 minutes')")
    assert conn.execute("select next_at > app.now() from app.schedules").fetchone() == (True,)
    assert broken_laws(conn) == []


@pytest.mark.parametrize("part", ["", "'p', "])
def test_a_pause_that_waited_for_new_limits_begins_after_them(
    dsn: str, conn: Connection[Any], part: str
) -> None:
    what = "partition" if part else "queue"
    limits = "select app.set_limits('intentQ', '{}', 'ann', 'test')"
    pause = f"select app.pause_{what}('intentQ', {part}'bob', 'test')"
    with behind(dsn, conn, [limits], pause) as (_, answer):
        conn.execute("select pg_sleep(0.01)")
        at = conn.execute("select app.epoch_ms(app.now())").fetchone()
    (paused,) = answer
    assert at is not None and next(iter(paused.values()))["pausedAt"] >= at[0]
    assert broken_laws(conn) == []


def test_a_purge_that_waited_for_another_comes_after_it(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    runs = [start(conn, goal) for goal in ("one", "two")]
    purge = "select app.purge_runs('0', 'ann', 'test', max_runs => 1)"
    for run in runs:
        conn.execute("select app.cancel_run(%s, 'ann', 'test')", [run])
    turn = "select pg_advisory_xact_lock(hashtextextended('sisu_kodo.purge', 0))"
    with behind(dsn, conn, [turn], purge) as (one, _):
        one.rows(purge)
    order = "select array_agg(run_id order by purged_at) from app.purged_runs"
    assert conn.execute(order).fetchone() == (runs,)
    assert broken_laws(conn) == []


def test_an_approval_that_waited_for_a_repair_answers_the_next_round(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {"gate": {"key": "approve-plan"}})
    run = start(conn, "run")
    conn.execute("select app.approve_plan(%s, 'ann', decision => 'no')", [run])
    with behind(dsn, conn, [HOLD, run], "select app.approve_plan(%s, 'bob')", run) as (one, _):
        one.rows("select app.repair_run(%s, 'ann', 'test')", run)
    gate = "select status, round, payload ->> 'approvedBy' from app.gates where run_id = %s"
    assert conn.execute(gate, [run]).fetchone() == ("ANSWERED", 2, "bob")
    assert broken_laws(conn) == []


def test_a_fork_with_an_older_snapshot_fails_and_works_the_next_time(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    run = start(conn, "run")
    fork = "select app.fork_run(%s, 0, 'ann', 'test') ->> 'forkedWorkflowID'"
    with sessions(dsn, 1) as (one,):
        one.connection.execute("set transaction isolation level repeatable read")
        one.rows("select from app.runs")
        conn.execute(fork, [run])
        with pytest.raises(psycopg.errors.SerializationFailure):
            one.value(fork, run)
        one.rollback()
        assert one.value(fork, run) == f"{run}-f2"
        one.commit()
    assert broken_laws(conn) == []
