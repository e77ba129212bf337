"""Batches lock all their runs, in the order of their ids, before they touch the first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg import Connection

from .session_support import broken_laws, crowd, put, sessions, start, status, wait_until_blocked

CALLS = [
    "select * from app.cancel_batch(%s, 'ann', 'x')",
    "select * from app.resume_batch(%s, 'ann', 'x')",
    "select * from app.repair_batch(%s, 'ann', 'x')",
    "select * from app.fork_batch(%s, 0, 'ann', 'x')",
]
LOCK = "select from app.runs where run_id = %s for no key update"
FREE = "select run_id from app.runs where run_id = any (%s) for no key update skip locked"


def runs(conn: Connection[Any], count: int) -> list[str]:
    """Ids of so many runs in line, in ascending order."""
    return sorted(start(conn, f"goal {n}") for n in range(count))


def selection(*run_ids: str) -> str:
    return json.dumps({"runIds": run_ids})


@pytest.mark.parametrize("call", CALLS, ids=["cancel", "resume", "repair", "fork"])
def test_a_batch_locks_in_the_order_of_the_ids(conn: Connection[Any], dsn: str, call: str) -> None:
    put(conn, {})
    low, middle, high = runs(conn, 3)
    with sessions(dsn) as (holder, batch):
        holder.rows(LOCK + " nowait", middle)
        waiting = batch.later(call, selection(high, middle, low))
        wait_until_blocked(conn, batch, holder)
        with conn.transaction():
            free = {run_id for (run_id,) in conn.execute(FREE, [[low, middle, high]]).fetchall()}
        assert free == {high}, "it holds the lowest id, waits for the next, has not come to the last"
        holder.commit()
        rows = waiting.result()
        assert [row["run_id"] for row in rows] == [high, middle, low], "the report is in the order given"
        batch.commit()
    assert broken_laws(conn) == []


def test_a_batch_judges_what_a_run_is_when_its_lock_is_there(conn: Connection[Any], dsn: str) -> None:
    put(conn, {})
    first, second = runs(conn, 2)
    with sessions(dsn) as (other, batch):
        other.rows("select app.cancel_run(%s, 'bob', 'sooner')", second)
        waiting = batch.later(CALLS[0], json.dumps({"filter": {}}))
        wait_until_blocked(conn, batch, other)
        other.commit()
        told = {row["run_id"]: (row["accepted"], row["status"], row["code"]) for row in waiting.result()}
        batch.commit()
    assert told[first] == (True, "CANCELLED", None)
    assert told[second] == (False, "CANCELLED", "illegal_transition")
    audited = conn.execute("select count(*) from app.artifacts where step_id = 'OPS'").fetchone()
    assert audited == (2,)


def test_a_batch_that_is_rolled_back_has_done_nothing(conn: Connection[Any], dsn: str) -> None:
    put(conn, {})
    ids = runs(conn, 3)
    with sessions(dsn, 1) as (batch,):
        assert len(batch.rows(CALLS[0], selection(*ids))) == 3
        batch.rollback()
    assert {status(conn, run_id) for run_id in ids} == {"ENQUEUED"}
    assert conn.execute("select count(*) from app.artifacts").fetchone() == (0,)


def test_a_pause_waits_for_another(conn: Connection[Any], dsn: str) -> None:
    pause = "select app.pause_queue('sbxQ', %s, 'x')"
    with sessions(dsn) as (first, second):
        first.rows(pause, "ann")
        waiting = second.later(pause, "bob")
        wait_until_blocked(conn, second, first)
        first.commit()
        error = waiting.exception()
    assert getattr(error, "sqlstate", None) == "PT409"
    assert conn.execute("select paused_by from app.queues where queue_name = 'sbxQ'").fetchone() == ("ann",)


def test_batches_and_runners_never_deadlock(conn: Connection[Any], dsn: str) -> None:
    put(conn, {})
    ids = runs(conn, 12)
    conn.execute(
        "select app.register_worker('w', jsonb_build_object('appVersion', app.setting('app_version'),"
        " 'queues', '[\"intentQ\"]'::jsonb, 'concurrency', 10))"
    )

    def batch(call: str, order: list[str]) -> Any:
        return lambda own: own.execute(call, [selection(*order)]).fetchall()

    def claim(own: Connection[Any]) -> None:
        own.execute("select * from app.work('w', '[]', '{\"queues\": {\"intentQ\": 3}, \"recover\": true}')")

    mixed = ids[::2] + ids[1::2][::-1]
    seen = crowd(
        dsn,
        2,
        [
            batch(CALLS[0], ids[::-1]),
            batch(CALLS[1], ids),
            batch(CALLS[1], mixed),
            batch(CALLS[0], mixed),
            claim,
        ],
    )
    assert seen.errors == []
    assert seen.calls > 20
    assert broken_laws(conn) == []
