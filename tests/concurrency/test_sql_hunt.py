"""Four callers do everything at random for some seconds; then the engine drains and every law holds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from .races_support import (
    Lane,
    age_leases,
    broken_laws,
    done,
    intent,
    lease,
    one,
    recipe,
    register,
    start,
    work,
)

SECONDS = 5.0
THREADS = 4
GOALS = 60
RETRY = {"maxAttempts": 50, "backoff": {"initialMS": 200, "factor": 1}, "retryableCodes": ["infra"]}
STEPS: list[dict[str, Any]] = [
    {"retry": RETRY},
    {"retry": RETRY, "fanOut": {"queue": "sbxQ", "handler": "t/task", "retry": RETRY}},
    {"retry": RETRY, "gate": {"key": "approve-plan"}},
    {"retry": RETRY},
]
# what a caller may be told when another was faster; never a deadlock, never an error of the server's own
EXPECTED = {"PT409"}


class Hunter:
    """One caller: a connection, a worker name, the lanes it believes to hold."""

    def __init__(self, conn: Connection[Any], name: str, seed: int) -> None:
        self.conn, self.name, self.dice = conn, name, random.Random(seed)
        self.lanes: list[Lane] = []
        self.moves = 0
        self.refused = 0
        register(conn, name)

    def hunt(self, until: float) -> None:
        """Random moves until the time is over. Raises what no caller should ever see."""
        moves: list[tuple[int, Callable[[], Any]]] = [
            (3, self.begin),
            (8, self.work),
            (2, self.heartbeat),
            (1, self.release),
            (1, lambda: age_leases(self.conn)),
            (2, lambda: one(self.conn, "select app.advance('300 milliseconds')")),
            (3, self.approve),
            (1, self.restart),
        ]
        weights, calls = [weight for weight, _ in moves], [call for _, call in moves]
        while time.monotonic() < until:
            self.moves += 1
            try:
                self.dice.choices(calls, weights)[0]()
            except psycopg.Error as error:
                if error.sqlstate not in EXPECTED:
                    raise
                self.refused += 1

    def begin(self) -> None:
        goal = self.dice.randrange(GOALS)
        start(self.conn, f"goal {goal}", "hunted", queuePartitionKey=f"p{goal % 3}")

    def work(self) -> None:
        """Ends some of its lanes, well or badly or twice, and claims more."""
        self.dice.shuffle(self.lanes)
        ending, self.lanes = self.lanes[:5], self.lanes[5:]
        results = [self.result(lane) for lane in ending]
        queues = {"intentQ": self.dice.randrange(4), "sbxQ": self.dice.randrange(4)}
        rows = work(self.conn, self.name, results, queues=queues, recover=self.dice.random() < 0.3)
        self.refused += sum(row["outcome"] == "refused" for row in rows)
        self.lanes += [row for row in rows if row["outcome"] != "refused"]
        if ending and self.dice.random() < 0.1:
            self.refused += len(work(self.conn, self.name, results))

    def result(self, lane: Lane) -> dict[str, Any]:
        if self.dice.random() < 0.15:
            return done(lane, status="ERROR", error={"code": "infra", "message": "at random"})
        if lane["taskKey"]:
            return done(lane, receipt=True, output=lane["attempt"])
        return done(lane, tasks=[1, 2, 3] if lane["idx"] == 1 else [], output=lane["attempt"])

    def heartbeat(self) -> None:
        statement = "select directive, msg_id from app.heartbeat(%s, %s)"
        held = Jsonb([lease(lane) for lane in self.lanes])
        lost = {row[1] for row in self.conn.execute(statement, [self.name, held]).fetchall()}
        self.lanes = [lane for lane in self.lanes if lane["msgId"] not in lost or self.dice.random() < 0.5]

    def release(self) -> None:
        given, self.lanes = self.lanes[:3], self.lanes[3:]
        one(self.conn, "select app.release(%s, %s)", self.name, Jsonb([lease(lane) for lane in given]))

    def approve(self) -> None:
        run_id = intent(self.conn, f"goal {self.dice.randrange(GOALS)}")
        if one(self.conn, "select exists (select from app.runs where run_id = %s)", run_id):
            one(self.conn, "select app.approve_plan(%s, %s)", run_id, f"hunter {self.dice.randrange(2)}")

    def restart(self) -> None:
        """The worker dies without a word; its old lanes stay in its hands, like those of a hung process."""
        register(self.conn, self.name)


def drain(conn: Connection[Any]) -> None:
    """Let one worker bring everything to its end."""
    register(conn, "last")
    for hunter in range(THREADS):
        conn.execute("select app.retire_worker(%s)", [f"hunter-{hunter}"])
    deadline = time.monotonic() + 60
    while one(conn, "select exists (select from app.runs where ended_at is null)"):
        assert time.monotonic() < deadline, "it never drained"
        for (run_id,) in conn.execute("select run_id from app.v_gates_open").fetchall():
            conn.execute("select app.approve_plan(%s, 'last', dedupe_key => 'last')", [run_id])
        conn.execute("select app.advance('1 second')")
        lanes = work(conn, "last", recover=True, queues={"intentQ": 50, "sbxQ": 50})
        while lanes:
            lanes = work(
                conn,
                "last",
                [
                    done(lane, tasks=[1, 2, 3] if (lane["idx"], lane["taskKey"]) == (1, "") else [])
                    for lane in lanes
                ],
            )


@pytest.mark.parametrize("seed", [1])
def test_whatever_callers_do_it_drains_and_every_law_holds(
    conn: Connection[Any], connect: Callable[..., Connection[Any]], seed: int
) -> None:
    conn.execute("update app.queues set max_recoveries = 1000")
    recipe(conn, "hunted", *STEPS)
    hunters = [Hunter(connect(), f"hunter-{n}", seed * 100 + n) for n in range(THREADS)]
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(hunter.hunt, until) for hunter in hunters]:
            future.result(SECONDS + 30)
    assert broken_laws(conn) == [], "in the middle of everything"
    drain(conn)

    runs = one(conn, "select count(*) from app.runs")
    print(f"{sum(h.moves for h in hunters)} moves, {sum(h.refused for h in hunters)} refused, {runs} runs")
    assert runs > 20 and sum(hunter.refused for hunter in hunters) > 10, "the hunt was too tame"
    ended_otherwise = "select run_id, status, error from app.runs where status <> 'SUCCESS'"
    assert conn.execute(ended_otherwise).fetchall() == []
    assert broken_laws(conn) == []
    once = """
        select run_id, idx, task_key, array_agg(attempt || status order by attempt)
        from app.run_steps group by 1, 2, 3
        having count(*) filter (where status = 'SUCCESS') <> 1
          or max(attempt) <> count(*) or min(attempt) <> 1
    """
    assert conn.execute(once).fetchall() == [], "each step and task succeeded exactly once, without gaps"
    per_run = "select count(*) from app.run_steps where status = 'SUCCESS'"
    assert one(conn, per_run) == runs * 7, "four steps and three tasks"
    assert one(conn, "select max(seen_count) from app.mock_receipts") == 1
    assert one(conn, "select count(*) from app.leases()") == 0
