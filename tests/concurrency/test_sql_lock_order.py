"""Two calls that want the same leases at the same moment: one waits for the other, never both."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from .races_support import (
    Lane,
    broken_laws,
    done,
    lease,
    one,
    recipe,
    register,
    start,
    wait_until_blocked,
    work,
)

Connect = Callable[..., Connection[Any]]


def lanes_in_hand(conn: Connection[Any], name: str, many: int, queue: str = "intentQ") -> list[Lane]:
    """So many runs of a recipe with one step on this queue, all of them in the hands of the worker w1."""
    recipe(conn, name, {"queue": queue})
    for n in range(many):
        start(conn, f"{name} {n}", name)
    return sorted(work(conn, "w1", queues={queue: many}), key=lambda lane: lane["msgId"])


def beat(conn: Connection[Any], lanes: list[Lane]) -> list[Any]:
    """The directives of a heartbeat of w1."""
    given = Jsonb([lease(lane) for lane in lanes])
    return conn.execute("select directive, msg_id from app.heartbeat('w1', %s)", [given]).fetchall()


def test_a_heartbeat_and_a_release_of_the_same_lanes(conn: Connection[Any], connect: Connect) -> None:
    register(conn, "w1")
    first, second = lanes_in_hand(conn, "plain", 2)
    (third,) = lanes_in_hand(conn, "boxed", 1, "sbxQ")
    holder, gate, giver, beater = connect(autocommit=False), connect(autocommit=False), connect(), connect()
    holder.execute("select from app.runs where run_id = %s for no key update", [first["runId"]])
    gate.execute("select from pgmq.q_sbxq for update")
    given = Jsonb([lease(lane) for lane in (first, second, third)])
    with ThreadPoolExecutor(2) as pool:
        released = pool.submit(one, giver, "select app.release('w1', %s)", given)
        wait_until_blocked(conn, giver.info.backend_pid)
        beaten = pool.submit(beat, beater, [first, second, third])
        wait_until_blocked(conn, beater.info.backend_pid)
        gate.rollback()
        assert released.result(10) == 2, "the run of the first is held by somebody"
        assert [directive for directive, _ in beaten.result(10)] == ["lost", "lost"]
    holder.rollback()
    assert broken_laws(conn) == []


def test_a_heartbeat_and_a_commit_take_leases_in_one_order(conn: Connection[Any], connect: Connect) -> None:
    """However the planner finds them: a beat of many lanes and a commit of two look different to it."""
    register(conn, "w1")
    lanes = lanes_in_hand(conn, "plain", 400)
    for _ in range(20):
        assert beat(conn, lanes) == []
    # on disk each beat leaves them elsewhere: two that lie the other way round, and one between them
    places = [row[0] for row in conn.execute("select msg_id from pgmq.q_intentq order by ctid").fetchall()]
    later, between, earlier = next(
        (places[a], places[b], places[b + 1])
        for b in range(1, len(places) - 1)
        for a in range(b)
        if places[a] > places[b + 1]
    )
    gate, beater, worker = connect(autocommit=False), connect(), connect()
    for caller in (beater, worker):
        caller.execute("set random_page_cost = 1.1")  # as the embedded engine has it
    gate.execute("select from pgmq.q_intentq where msg_id = %s for update", [between])
    results = [done(lane) for lane in lanes if lane["msgId"] in (earlier, later)]
    with ThreadPoolExecutor(2) as pool:
        beaten = pool.submit(beat, beater, lanes)
        wait_until_blocked(conn, beater.info.backend_pid)
        committed = pool.submit(work, worker, "w1", results)
        wait_until_blocked(conn, worker.info.backend_pid)
        gate.rollback()
        assert (beaten.result(10), committed.result(10)) == ([], [])
    assert broken_laws(conn) == []


def test_a_heartbeat_and_a_commit_take_queues_in_one_order(
    conn: Connection[Any], connect: Connect
) -> None:
    """By name: a hash would put these two the other way round."""
    conn.execute("insert into app.queues (queue_name) values ('aQ'), ('cQ')")
    conn.execute("select app.ensure_queues()")
    register(conn, "w1")
    first, second = lanes_in_hand(conn, "a", 2, "aQ")
    (third,) = lanes_in_hand(conn, "c", 1, "cQ")
    gate, beater, worker = connect(autocommit=False), connect(), connect()
    gate.execute("select from pgmq.q_aq where msg_id = %s for update", [first["msgId"]])
    with ThreadPoolExecutor(2) as pool:
        beaten = pool.submit(beat, beater, [first, second, third])
        wait_until_blocked(conn, beater.info.backend_pid)
        committed = pool.submit(work, worker, "w1", [done(second), done(third)])
        wait([committed], 1)
        gate.rollback()
        assert committed.result(10) == []
        beaten.result(10)
    assert broken_laws(conn) == []


def test_leases_are_rebuilt_while_a_call_is_between_two_queues(
    conn: Connection[Any], connect: Connect
) -> None:
    """It has committed on one and will claim on the other."""
    register(conn, "w1")
    (lane,) = lanes_in_hand(conn, "boxed", 1, "sbxQ")
    recipe(conn, "plain", {})
    start(conn, "next", "plain")
    gate, worker, builder = connect(autocommit=False), connect(), connect()
    gate.execute("select app.lock_queue('intentQ', true)")
    with ThreadPoolExecutor(2) as pool:
        worked = pool.submit(work, worker, "w1", [done(lane)], queues={"intentQ": 1})
        wait_until_blocked(conn, worker.info.backend_pid)
        built = pool.submit(builder.execute, "select made, dropped from app.rebuild_dispatch()")
        wait_until_blocked(conn, builder.info.backend_pid)
        gate.rollback()
        assert [row["outcome"] for row in worked.result(10)] == ["assigned"]
        assert set(built.result(10).fetchall()) == {(0, 0)}
    assert broken_laws(conn) == []
