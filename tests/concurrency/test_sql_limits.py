"""Limits under fire: workers claim, finish and fall silent, watched from outside at every instant."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from sisu_kodo import database
from tests.concurrency.races_support import done, intent, recipe, register, work
from tests.concurrency.session_support import broken_laws, sessions, wait_until_blocked

SECONDS = 5.0
LIMITS = {
    "maxRunning": 7,
    "maxRunningPerPartition": 3,
    "maxRunningPerWorker": 4,
    "rate": {"limit": 40, "seconds": 1},
    "ratePerPartition": {"limit": 15, "seconds": 2},
}
_SEEN = """
select coalesce(m.message ->> 'partition', ''), m.message ->> 'worker' from pgmq.q_intentq as m
"""


def set_limits(conn: Connection[Any], limits: dict[str, Any], queue: str = "intentQ") -> None:
    conn.execute("select app.set_limits(%s, %s, 'ann', 'test')", [queue, Jsonb(limits)])


def start_many(conn: Connection[Any], counts: dict[str, int]) -> None:
    """So many runs of the recipe `test` in each partition."""
    runs = [
        {"intentId": intent(conn, f"{key} {n}"), "recipeName": "test", "queuePartitionKey": key}
        for key, count in counts.items()
        for n in range(count)
    ]
    for at in range(0, len(runs), 1000):
        conn.execute("select app.start_runs(%s)", [Jsonb(runs[at : at + 1000])])


class Watch:
    """Counts the leases from a connection of its own, as often as it can, and remembers every excess."""

    def __init__(self, dsn: str) -> None:
        self.dsn, self.excesses, self.samples, self.most = dsn, list[str](), 0, 0
        self.over = threading.Event()

    def run(self) -> None:
        with closing(database.connect(self.dsn)) as conn:
            while not self.over.is_set():
                leases = conn.execute(_SEEN).fetchall()
                self.samples += 1
                self.most = max(self.most, len(leases))
                counts = [("queue", len(leases), LIMITS["maxRunning"])]
                counts += [(key, n, 3) for key, n in Counter(key for key, _ in leases).items()]
                counts += [(worker, n, 4) for worker, n in Counter(worker for _, worker in leases).items()]
                self.excesses += [f"{what} has {n}" for what, n, limit in counts if n > int(str(limit))]


def labour(dsn: str, worker: str, until: float) -> int:
    """Claims, works for some milliseconds, reports; now and then never comes back. How much it claimed."""
    dice, claimed = random.Random(worker), 0
    with closing(database.connect(dsn)) as conn:
        held: list[dict[str, Any]] = []
        while time.monotonic() < until:
            results = [done(lane) for lane in held if dice.random() > 0.1]  # the others are forgotten
            lanes = work(conn, worker, results, queues={"intentQ": dice.randint(1, 9)}, recover=True)
            held = [lane for lane in lanes if lane["outcome"] != "refused"]
            claimed += sum(lane["outcome"] == "assigned" for lane in held)
            time.sleep(dice.random() * 0.02)
    return claimed


def windows(at: list[datetime], length: timedelta) -> int:
    """The most instants that any window of this length holds, its first end left out."""
    first, most = 0, 0
    for last, instant in enumerate(at):
        while instant - at[first] >= length:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("kind", ["slots", "rates"])
def test_limits_hold_at_every_instant(dsn: str, conn: Connection[Any], kind: str) -> None:
    recipe(conn, "test", {"retry": {"maxAttempts": 99}}, {})
    conn.execute("update app.queues set lease_seconds = 1, max_recoveries = 1000")
    set_limits(conn, {name: value for name, value in LIMITS.items() if ("rate" in name) == (kind == "rates")})
    start_many(conn, {f"p{n}": 200 for n in range(5)})
    workers = [f"w{n}" for n in range(5)]
    for worker in workers:
        register(conn, worker)
    watch, until = Watch(dsn), time.monotonic() + SECONDS
    with ThreadPoolExecutor(len(workers) + 1) as pool:
        if kind == "slots":
            pool.submit(watch.run)
        claimed = sum(pool.map(lambda worker: labour(dsn, worker, until), workers))
        watch.over.set()
    assert claimed > 50
    if kind == "slots":
        assert (watch.excesses[:5], watch.most) == ([], LIMITS["maxRunning"])
        assert watch.samples > 100
    else:
        # the second step of a lane is no claim
        begun = conn.execute(
            "select partition_key, started_at from app.run_steps"
            " where started_at is not null and idx = 0 order by started_at"
        ).fetchall()
        assert windows([at for _, at in begun], timedelta(seconds=1)) <= 40
        for key in {key for key, _ in begun}:
            assert windows([at for other, at in begun if other == key], timedelta(seconds=2)) <= 15
        assert windows([at for _, at in begun], timedelta(seconds=2)) > 40, "the test would see it"
    assert broken_laws(conn) == []


def test_a_claim_waits_for_the_limit_and_then_sees_it(dsn: str, conn: Connection[Any]) -> None:
    recipe(conn, "test", {})
    start_many(conn, {"p": 5})
    for worker in ("a", "b"):
        register(conn, worker)
    set_limits(conn, {"maxRunning": 3})
    with sessions(dsn) as (one, two):
        statement = """select count(*) as n from app.work(%s, '[]', '{"queues": {"intentQ": 2}}')"""
        assert one.value(statement, "a") == 2
        waiting = two.later(statement, "b")
        wait_until_blocked(conn, two, one)
        one.commit()
        assert waiting.result() == [{"n": 1}]
        two.commit()


def test_a_new_limit_waits_for_claims_that_do_not_know_it(dsn: str, conn: Connection[Any]) -> None:
    recipe(conn, "test", {})
    start_many(conn, {"p": 5})
    register(conn, "a")
    with sessions(dsn) as (one, two):
        assert one.value("""select count(*) from app.work('a', '[]', '{"queues": {"intentQ": 2}}')""") == 2
        waiting = two.later("""select app.set_limits('intentQ', '{"maxRunning": 1}', 'ann', 'x')""")
        wait_until_blocked(conn, two, one)
        one.commit()
        assert waiting.result()
        two.commit()
    assert work(conn, "a", queues={"intentQ": 2}) == []
    assert broken_laws(conn) == [], "what was handed out before may exceed it"


def test_a_limit_is_refused_to_who_cannot_see_what_others_do(dsn: str, conn: Connection[Any]) -> None:
    recipe(conn, "test", {})
    register(conn, "a")
    set_limits(conn, {"maxRunning": 1})
    with closing(database.connect(dsn, autocommit=False)) as own:
        own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.Error, match="limits of queue intentQ") as caught:
            own.execute("""select app.work('a', '[]', '{"queues": {"intentQ": 1}}')""")
        assert caught.value.sqlstate == "PT409"


def test_a_hot_tenant_delays_nobody_beyond_two_claims(conn: Connection[Any]) -> None:
    recipe(conn, "test", {})
    register(conn, "a")
    start_many(conn, {"hot": 5000})
    assert len(work(conn, "a", queues={"intentQ": 20})) == 20
    start_many(conn, {f"small{n:02}": 1 for n in range(20)})
    lanes = [lane for _ in range(2) for lane in work(conn, "a", queues={"intentQ": 20})]
    found = conn.execute(
        "select count(distinct partition_key) from app.run_steps"
        " where run_id = any (%s) and partition_key <> 'hot'",
        [[lane["runId"] for lane in lanes]],
    ).fetchone()
    assert found == (20,)
