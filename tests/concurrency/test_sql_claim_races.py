"""Claims beside open transactions that hold what they would like to have: nobody waits, nobody shares."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from psycopg import Connection
from psycopg.rows import dict_row

from sisu_kodo import database
from tests.concurrency.session_support import (
    WORK,
    Session,
    age_leases,
    attempts,
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


def claim(session: Session, worker: str, count: int = 1, recover: bool = False) -> list[str]:
    return [row["run_id"] for row in session.rows(WORK, worker, "[]", want(count, recover))]


def test_two_claims_under_way_at_once_share_nothing(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    register(conn, "a", "b")
    runs = {start(conn, f"run {n}") for n in range(4)}
    with sessions(dsn) as (one, two):
        first, second = claim(one, "a", 2), claim(two, "b", 10)
        assert len(first) == 2
        assert sorted([*first, *second]) == sorted(runs), "the second takes the others and does not wait"
        one.commit()
        two.commit()
    assert broken_laws(conn) == []


def test_a_claim_that_is_rolled_back_leaves_its_step_to_others(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    register(conn, "a", "b")
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        assert claim(one, "a") == [run]
        assert claim(two, "b") == []
        two.commit()
        one.rollback()
        assert claim(two, "b") == [run]
        two.commit()
    assert attempts(conn, run) == [(0, 1, "PENDING")]
    assert broken_laws(conn) == []


def test_a_crowd_of_claimers_gives_every_step_once(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    workers = [f"w{n}" for n in range(8)]
    register(conn, *workers)
    runs = [start(conn, f"run {n}", queuePartitionKey=f"p{n % 7}") for n in range(150)]

    def drain(worker: str) -> list[str]:
        taken: list[str] = []
        empty = 0
        with closing(database.connect(dsn, row_factory=dict_row)) as own:
            while empty < 3:
                rows = own.execute(WORK.encode(), [worker, "[]", want(3)]).fetchall()
                taken += [row["run_id"] for row in rows]
                empty = 0 if rows else empty + 1
        return taken

    with ThreadPoolExecutor(len(workers)) as pool:
        taken = [run for part in pool.map(drain, workers) for run in part]
    assert sorted(taken) == sorted(runs)
    assert broken_laws(conn) == []


def test_two_takeovers_of_one_lease_make_one_new_attempt(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    register(conn, "lost", "a", "b")
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        assert claim(one, "lost") == [run]
        one.commit()
        age_leases(conn)
        assert claim(one, "a", recover=True) == [run]
        assert claim(two, "b", recover=True) == [], "what somebody takes over is skipped, not waited for"
        one.commit()
        two.commit()
    assert attempts(conn, run) == [(0, 1, "ERROR"), (0, 2, "PENDING")]
    assert broken_laws(conn) == []


def test_a_run_that_somebody_holds_does_not_hold_up_its_partition(dsn: str, conn: Connection[Any]) -> None:
    """An answer ahead of its gate, in a transaction that stays open, locks the first run in line."""
    put(conn, {}, {"gate": {"key": "approve-plan"}})
    register(conn, "a")
    held, free = start(conn, "held"), start(conn, "free")
    with sessions(dsn) as (caller, worker):
        caller.rows("select app.approve_plan(%s, 'me')", held)
        begun = time.monotonic()
        claimed = [run for _ in range(3) for run in claim(worker, "a", 1)]
        assert claimed == [free], "one step at a time, the run behind the held one still has its turn"
        assert time.monotonic() - begun < 2
        worker.commit()
        caller.commit()
        assert claim(worker, "a") == [held]
        worker.commit()
    assert broken_laws(conn) == []


def test_a_commit_under_way_fences_off_the_takeover(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {}, {})
    register(conn, "late", "next")
    run = start(conn, "run")
    with sessions(dsn) as (late, other):
        [lane] = late.rows(WORK, "late", "[]", want())
        late.commit()
        age_leases(conn)
        [kept] = late.rows(WORK, "late", report(result(lane)), "{}")
        assert kept["outcome"] == "continued"
        assert claim(other, "next", recover=True) == [], "the holder was first, so the lease is not taken"
        late.commit()
        other.commit()
        age_leases(conn)
        assert claim(other, "next", recover=True) == [run]
        other.commit()
    assert attempts(conn, run) == [(0, 1, "SUCCESS"), (1, 1, "ERROR"), (1, 2, "PENDING")]
    assert broken_laws(conn) == []


def test_a_takeover_under_way_fences_off_the_commit(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {}, {})
    register(conn, "late", "next")
    run, other_run = start(conn, "run"), start(conn, "other")
    with sessions(dsn) as (late, other):
        lanes = late.rows(WORK, "late", "[]", want(2))
        late.commit()
        mine, fine = sorted(lanes, key=lambda lane: lane["run_id"] != run)
        age_leases(conn)
        conn.execute("select pgmq.set_vt('intentQ', %s, 60)", [fine["msg_id"]])
        assert claim(other, "next", recover=True) == [run]
        answer = late.later(WORK, "late", report(result(mine), result(fine)), "{}")
        wait_until_blocked(conn, late, by=other)
        other.commit()
        outcomes = {row["run_id"]: row["outcome"] for row in answer.result(20)}
        late.commit()
    assert outcomes == {run: "refused", other_run: "continued"}, "the stale one alone, the rest commits"
    assert attempts(conn, run) == [(0, 1, "ERROR"), (0, 2, "PENDING")]
    assert attempts(conn, other_run) == [(0, 1, "SUCCESS"), (1, 1, "PENDING")]
    assert broken_laws(conn) == []


def test_a_partition_that_somebody_holds_does_not_hold_up_the_others(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    register(conn, "a")
    held = start(conn, "held", queuePartitionKey="a")
    others = [start(conn, f"run {n}", queuePartitionKey="b") for n in range(2)]
    with sessions(dsn) as (one, two):
        one.rows("select app.cancel_run(%s, 'ann', 'test')", held)
        taken = []
        for _ in range(4):
            taken += claim(two, "a")
            two.commit()
        assert taken == others, "in turn, whatever the transaction that is left open holds"
        one.rollback()
        assert claim(two, "a") == [held]
        two.commit()
    assert broken_laws(conn) == []


def test_runs_at_the_front_that_somebody_holds_do_not_hold_up_the_others(
    dsn: str, conn: Connection[Any]
) -> None:
    put(conn, {})
    register(conn, "a")
    runs = [start(conn, f"run {n:03}") for n in range(220)]
    with sessions(dsn) as (one, two):
        one.rows("select run_id from app.runs where run_id = any (%s) for no key update", runs[:200])
        assert claim(two, "a", 5) == runs[200:205], "in order, behind two hundred that are held"
        two.commit()
        assert claim(two, "a", 100) == runs[205:]
        two.commit()
        assert claim(two, "a", 5) == []
        two.commit()
        one.rollback()
        assert claim(two, "a", 300) == runs[:200]
        two.commit()
    assert broken_laws(conn) == []


def test_timers_of_runs_that_somebody_holds_do_not_hold_up_others(dsn: str, conn: Connection[Any]) -> None:
    conn.execute("select app.put_setting('test_database', 'true')")
    put(conn, {"sleep": {"ms": 1000}, "handler": None}, {})
    register(conn, "a")
    runs = [start(conn, f"run {n:03}") for n in range(103)]
    conn.execute("select app.advance('1 minute')")
    with sessions(dsn) as (one, two):
        one.rows("select run_id from app.runs where run_id = any (%s) for no key update", runs[:100])
        assert claim(two, "a", 10, recover=True) == runs[100:], "behind a hundred that are due before them"
        two.commit()
        one.rollback()
        assert len(claim(two, "a", 200, recover=True)) == 100
        two.commit()
    assert broken_laws(conn) == []


def test_leases_of_runs_that_somebody_holds_do_not_hold_up_others(dsn: str, conn: Connection[Any]) -> None:
    put(conn, {})
    register(conn, "a", "b")
    runs = [start(conn, f"run {n:03}") for n in range(103)]
    with sessions(dsn) as (one, two):
        assert len(claim(one, "b", 200)) == 103
        one.commit()
        age_leases(conn)
        one.rows("select run_id from app.runs where run_id = any (%s) for no key update", runs[:100])
        assert claim(two, "a", 10, recover=True) == runs[100:], "behind a hundred that expired before them"
        two.commit()
        one.rollback()
        assert claim(two, "a", 200, recover=True) == runs[:100]
        two.commit()
    assert broken_laws(conn) == []


GIVE_BACK = [
    "select app.release('a', %s::jsonb)",
    "select app.retire_worker('a') where %s::jsonb is not null",
]


@pytest.mark.parametrize("call", GIVE_BACK)
def test_what_is_given_back_while_somebody_holds_its_run_is_free_at_once(
    dsn: str, conn: Connection[Any], call: str
) -> None:
    put(conn, {})
    register(conn, "a", "b")
    run = start(conn, "run")
    with sessions(dsn) as (one, two):
        (lane,) = two.rows(WORK, "a", "[]", want())
        two.commit()
        one.rows("select run_id from app.runs where run_id = %s for no key update", run)
        lease = {key: value for key, value in result(lane).items() if key not in ("attempt", "status")}
        two.rows(call, report(lease))
        two.commit()
        one.rollback()
        assert claim(two, "b", recover=True) == [run], "not when the lease is over"
        two.commit()
    assert broken_laws(conn) == []
