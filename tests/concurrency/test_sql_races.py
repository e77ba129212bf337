"""Two callers at the same moment, and one waiting for the other: what the locks of the SQL promise."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from .races_support import (
    age_leases,
    at_once,
    broken_laws,
    done,
    intent,
    lease,
    one,
    recipe,
    register,
    start,
    status,
    wait_until_blocked,
    work,
)

Connect = Callable[..., Connection[Any]]
ATTEMPTS = "select array_agg(status order by attempt) from app.run_steps where run_id = %s and idx = 0"


def test_a_hundred_identical_starts_make_one_run(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    run_id = intent(conn, "once")
    options = Jsonb({"recipeName": "plain", "priority": 3, "timeoutMS": 60000})

    def begin(other: Connection[Any]) -> Any:
        return one(other, "select app.start_run(%s, %s) -> 'isReplay'", run_id, options)

    others = [connect() for _ in range(20)]
    answers = [a for _ in range(5) for a in at_once(*(lambda c=c: begin(c) for c in others))]
    assert sorted(map(str, answers)) == ["False", *["True"] * 99]
    assert one(conn, "select count(*) from app.run_steps") == 1
    assert one(conn, "select count(*) from app.timers") == 1
    assert broken_laws(conn) == []


def test_a_start_waits_for_the_same_start_of_another(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    run_id = intent(conn, "once")
    first, second = connect(autocommit=False), connect()
    options = Jsonb({"recipeName": "plain"})
    statement = "select app.start_run(%s, %s) -> 'isReplay'"
    assert one(first, statement, run_id, options) is False
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(one, second, statement, run_id, options)
        wait_until_blocked(conn, second.info.backend_pid)
        first.rollback()
        assert waiting.result(10) is False, "the first start never was"
    assert one(conn, "select count(*) from app.run_steps") == 1


def test_bulk_starts_in_opposite_order_do_not_deadlock(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    runs = [{"intentId": intent(conn, f"bulk {n}"), "recipeName": "plain"} for n in range(60)]
    statement = "select app.start_runs(%s)"
    a, b = connect(), connect()
    answers = at_once(
        lambda: one(a, statement, Jsonb(runs)), lambda: one(b, statement, Jsonb(list(reversed(runs))))
    )
    new = [run["workflowID"] for answer in answers for run in answer if not run["isReplay"]]
    assert len(new) == len(set(new)) == 60
    assert broken_laws(conn) == []


def test_two_claimers_never_get_the_same_step(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    for n in range(60):
        start(conn, f"goal {n}", "plain", queuePartitionKey=f"p{n % 3}")
    workers = {f"w{n}": connect() for n in range(4)}
    for worker in workers:
        register(conn, worker)

    def drain(worker: str, own: Connection[Any]) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        while lanes := work(own, worker, queues={"intentQ": 3}):
            seen += [(lane["runId"], lane["attempt"]) for lane in lanes]
        return seen

    claimed = [
        s for part in at_once(*(lambda w=w, c=c: drain(w, c) for w, c in workers.items())) for s in part
    ]
    # a claim may come back short while others hold the rows: what is left is taken now
    claimed += drain("w0", workers["w0"])
    assert len(claimed) == len(set(claimed)) == 60
    assert broken_laws(conn) == []


@pytest.mark.parametrize("seed", range(8))
def test_a_commit_or_a_takeover_wins(conn: Connection[Any], connect: Connect, seed: int) -> None:
    """The lease has expired: its holder commits in the moment another worker takes it over."""
    recipe(conn, "plain", {})
    run_id = start(conn, f"race {seed}", "plain")
    register(conn, "w1")
    register(conn, "w2")
    (lane,) = work(conn, "w1", queues={"intentQ": 1})
    age_leases(conn)
    a, b = connect(), connect()
    committed, taken = at_once(
        lambda: work(a, "w1", [done(lane)]), lambda: work(b, "w2", recover=True, queues={"intentQ": 1})
    )
    taken = taken or work(b, "w2", queues={"intentQ": 1})
    if [row["outcome"] for row in committed] == ["refused"]:
        assert one(conn, ATTEMPTS, run_id)[0] == "ERROR"
        (again,) = taken
        assert again["attempt"] == 2
        assert work(b, "w2", [done(again)]) == []
        assert one(conn, ATTEMPTS, run_id) == ["ERROR", "SUCCESS"]
    else:
        assert (committed, taken) == ([], [])
        assert one(conn, ATTEMPTS, run_id) == ["SUCCESS"]
    assert status(conn, run_id) == "SUCCESS"
    assert broken_laws(conn) == []


def test_a_takeover_passes_by_a_commit_in_progress(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    run_id = start(conn, "slow commit", "plain")
    register(conn, "w1")
    register(conn, "w2")
    (lane,) = work(conn, "w1", queues={"intentQ": 1})
    age_leases(conn)
    slow = connect(autocommit=False)
    assert work(slow, "w1", [done(lane)]) == []
    conn.execute("set lock_timeout = '5s'")
    assert work(conn, "w2", recover=True, queues={"intentQ": 1}) == [], "it neither waits nor takes"
    slow.commit()
    assert status(conn, run_id) == "SUCCESS"
    assert one(conn, ATTEMPTS, run_id) == ["SUCCESS"]
    assert broken_laws(conn) == []


def test_a_commit_waits_for_a_takeover_and_is_refused(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    run_id = start(conn, "slow takeover", "plain")
    register(conn, "w1")
    register(conn, "w2")
    (lane,) = work(conn, "w1", queues={"intentQ": 1})
    age_leases(conn)
    slow, late = connect(autocommit=False), connect()
    (again,) = work(slow, "w2", recover=True, queues={"intentQ": 1})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work, late, "w1", [done(lane, output="late")])
        wait_until_blocked(conn, late.info.backend_pid)
        slow.commit()
        assert [row["outcome"] for row in waiting.result(10)] == ["refused"]
    assert work(conn, "w2", [done(again)]) == []
    assert one(conn, ATTEMPTS, run_id) == ["ERROR", "SUCCESS"]
    assert broken_laws(conn) == []


@pytest.mark.parametrize("seed", range(8))
def test_an_approval_or_the_ttl_wins(conn: Connection[Any], connect: Connect, seed: int) -> None:
    recipe(conn, "gated", {"gate": {"key": "approve-plan", "ttlMS": 60000}})
    run_id = start(conn, f"gate {seed}", "gated")
    register(conn, "w1")
    approver, clock, timer = connect(), connect(), connect()
    answer, _ = at_once(
        lambda: one(approver, "select app.approve_plan(%s, 'ann') -> 'accepted'", run_id),
        lambda: (clock.execute("select app.advance('1 minute')"), work(timer, "w1", recover=True)),
    )
    work(timer, "w1", recover=True)
    gate = one(conn, "select status from app.gates")
    if answer is True:
        assert (gate, status(conn, run_id)) == ("ANSWERED", "PENDING")
    else:
        assert isinstance(answer, psycopg.Error) and answer.sqlstate == "PT409"
        assert (gate, status(conn, run_id)) == ("EXPIRED", "ERROR")
    assert broken_laws(conn) == []


def test_the_timer_passes_by_an_approval_in_progress(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "gated", {"gate": {"key": "approve-plan", "ttlMS": 60000}})
    run_id = start(conn, "gate", "gated")
    register(conn, "w1")
    approver = connect(autocommit=False)
    assert one(approver, "select app.approve_plan(%s, 'ann') -> 'accepted'", run_id) is True
    conn.execute("select app.advance('1 hour')")
    conn.execute("set lock_timeout = '5s'")
    assert work(conn, "w1", recover=True) == []
    approver.commit()
    work(conn, "w1", recover=True)
    assert status(conn, run_id) == "PENDING"
    assert broken_laws(conn) == []


def test_two_different_answers_one_wins(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "gated", {"gate": {"key": "approve-plan"}})
    run_id = start(conn, "gate", "gated")
    a, b = connect(), connect()
    statement = "select app.approve_plan(%s, %s, decision => %s, dedupe_key => %s) -> 'accepted'"
    answers = at_once(
        lambda: one(a, statement, run_id, "ann", "yes", "a"),
        lambda: one(b, statement, run_id, "bob", "no", "b"),
    )
    assert sorted(getattr(answer, "sqlstate", "ok") for answer in answers) == ["PT409", "ok"]
    assert status(conn, run_id) == ("PENDING" if answers[0] is True else "ERROR")
    assert broken_laws(conn) == []


def test_the_last_two_tasks_at_once_join_once(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "fan", {"fanOut": {"queue": "sbxQ", "handler": "t/task"}}, {})
    register(conn, "w1")
    a, b = connect(), connect()
    for n in range(10):
        run_id = start(conn, f"join {n}", "fan")
        (lane,) = work(conn, "w1", queues={"intentQ": 1})
        work(conn, "w1", [done(lane, tasks=[1, 2])])
        first, second = work(conn, "w1", queues={"sbxQ": 2})
        answers = at_once(
            partial(work, a, "w1", [done(first, receipt=True)]),
            partial(work, b, "w1", [done(second, receipt=True)]),
        )
        assert answers == [[], []]
        (last,) = work(conn, "w1", queues={"intentQ": 1})
        assert (last["runId"], last["idx"], last["attempt"]) == (run_id, 1, 1)
        assert work(conn, "w1", [done(last)]) == []
        assert status(conn, run_id) == "SUCCESS"
    assert one(conn, "select array_agg(distinct seen_count) from app.mock_receipts") == [1]
    assert broken_laws(conn) == []


def test_a_release_and_a_commit_of_one_lane(conn: Connection[Any], connect: Connect) -> None:
    recipe(conn, "plain", {})
    register(conn, "w1")
    a, b = connect(), connect()
    for n in range(10):
        run_id = start(conn, f"release {n}", "plain")
        (lane,) = work(conn, "w1", queues={"intentQ": 1})
        committed, released = at_once(
            partial(work, a, "w1", [done(lane)]),
            partial(one, b, "select app.release('w1', %s)", Jsonb([lease(lane)])),
        )
        assert ([row["outcome"] for row in committed], released) in (([], 0), (["refused"], 1))
        for again in work(conn, "w1", queues={"intentQ": 5}):
            work(conn, "w1", [done(again)])
        assert status(conn, run_id) == "SUCCESS"
    assert broken_laws(conn) == []


def test_what_fails_while_a_repair_waits_came_before_it(conn: Connection[Any], connect: Connect) -> None:
    """It waits for another run; the retries of this one start anew all the same."""
    recipe(conn, "twice", {"retry": {"maxAttempts": 2, "retryableCodes": ["infra"]}})
    register(conn, "w1")
    held, failing = sorted(start(conn, f"goal {n}", "twice") for n in range(2))

    def fail() -> None:
        (lane,) = [row for row in work(conn, "w1", queues={"intentQ": 5}) if row["runId"] == failing]
        work(conn, "w1", [done(lane, status="ERROR", error={"code": "infra", "message": "x"})])

    holder, ops = connect(autocommit=False), connect()
    holder.execute("select from app.runs where run_id = %s for no key update", [held])
    repair = "select array_agg(accepted order by run_id) from app.repair_batch(%s, 'ann', 'x')"
    with ThreadPoolExecutor(1) as pool:
        repaired = pool.submit(one, ops, repair, Jsonb({"runIds": [held, failing]}))
        wait_until_blocked(conn, ops.info.backend_pid)
        fail()
        fail()
        assert status(conn, failing) == "ERROR"
        holder.rollback()
        assert repaired.result(10) == [False, True]
    fail()
    assert status(conn, failing) != "ERROR", "the first of two failures since the repair"
    assert broken_laws(conn) == []
    fail()
    assert status(conn, failing) == "ERROR"
    assert broken_laws(conn) == []
