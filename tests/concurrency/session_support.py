"""Sessions whose transactions stay open, statements that wait in the background, a runner in bare words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from sisu_kodo import database

JSON = dict[str, Any]
PATIENCE = 20.0


class Session:
    """A connection of its own, not autocommit, with one background thread for statements that wait."""

    def __init__(self, dsn: str) -> None:
        self.connection: Connection[JSON] = database.connect(dsn, autocommit=False, row_factory=dict_row)
        self.connection.execute("set lock_timeout = '10s'")
        self.connection.commit()
        self.pid = self.connection.info.backend_pid
        self._thread = ThreadPoolExecutor(1)

    def rows(self, statement: str, *arguments: Any) -> list[JSON]:
        """Run now, in this thread."""
        return self.connection.execute(statement.encode(), arguments).fetchall()

    def value(self, statement: str, *arguments: Any) -> Any:
        """The first column of the first row."""
        return next(iter(self.rows(statement, *arguments)[0].values()))

    def later(self, statement: str, *arguments: Any) -> Future[list[JSON]]:
        """Run in the background; the result holds the rows or the error."""
        return self._thread.submit(self.rows, statement, *arguments)

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def close(self) -> None:
        self.connection.close()
        self._thread.shutdown(wait=True)


@contextmanager
def sessions(dsn: str, count: int = 2) -> Iterator[list[Session]]:
    """So many sessions, closed at the end whatever they are doing."""
    opened = [Session(dsn) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.connection.cancel()
            one.close()


def wait_until_blocked(conn: Connection[Any], blocked: Session, by: Session) -> None:
    """Returns when one session waits for a lock of the other. AssertionError when that does not happen."""
    deadline = time.monotonic() + PATIENCE
    statement = "select %s = any (pg_blocking_pids(%s))"
    while conn.execute(statement, [by.pid, blocked.pid]).fetchone() != (True,):
        assert time.monotonic() < deadline, "it was not blocked"
        time.sleep(0.005)


def put(conn: Connection[Any], *steps: JSON, name: str = "test") -> None:
    """Put and activate a recipe; a step without an id is called `S<position>`."""
    numbered = [{"stepId": f"S{n}", "handler": "test/noop", **step} for n, step in enumerate(steps)]
    recipe = json.dumps({"name": name, "steps": numbered})
    conn.execute("select app.put_recipe(%s::jsonb), app.activate_recipe(%s)", [recipe, name])


def start(conn: Connection[Any], goal: str, **options: Any) -> str:
    """Start a run of the recipe `test`; its id."""
    intent = {"goal": goal, "inputs": {}, "constraints": {}}
    runs = json.dumps([{"intent": intent, "recipeName": "test", **options}])
    row = conn.execute("select app.start_runs(%s::jsonb) -> 0 ->> 'workflowID'", [runs]).fetchone()
    assert row is not None
    return str(row[0])


def register(conn: Connection[Any], *workers: str) -> None:
    for worker in workers:
        conn.execute(
            "select app.register_worker(%s, jsonb_build_object('appVersion', app.setting('app_version'),"
            " 'queues', '[\"intentQ\", \"sbxQ\"]'::jsonb, 'concurrency', 10))",
            [worker],
        )


WORK = "select * from app.work(%s, %s::jsonb, %s::jsonb)"


def want(count: int = 1, recover: bool = False) -> str:
    """What a runner asks for: so many steps of each queue."""
    return json.dumps({"queues": {"intentQ": count, "sbxQ": count}, "recover": recover})


def result(lane: JSON, **more: Any) -> JSON:
    """A success for an assignment, or what `more` makes of it."""
    return {
        "runId": lane["run_id"], "idx": lane["idx"], "taskKey": lane["task_key"], "attempt": lane["attempt"],
        "queue": lane["queue_name"], "msgId": lane["msg_id"], "readCt": lane["read_ct"], "status": "SUCCESS",
        **more,
    }  # fmt: skip


def report(*results: JSON) -> str:
    return json.dumps(results)


def age_leases(conn: Connection[Any]) -> None:
    """As if the workers had given no sign of life for an hour."""
    for queue in ("intentq", "sbxq"):
        conn.execute(f"update pgmq.q_{queue} set vt = vt - interval '1 hour'".encode())


def status(conn: Connection[Any], run_id: str) -> str:
    row = conn.execute("select status from app.runs where run_id = %s", [run_id]).fetchone()
    return str(row[0]) if row else "missing"


def attempts(conn: Connection[Any], run_id: str) -> list[tuple[int, int, str]]:
    """`(idx, attempt, status)` of the steps themselves, in order."""
    statement = """
        select idx, attempt, status from app.run_steps where run_id = %s and task_key = ''
        order by idx, attempt
    """
    return [tuple(row) for row in conn.execute(statement, [run_id]).fetchall()]


def broken_laws(conn: Connection[Any]) -> list[Any]:
    return conn.execute("select * from app.v_invariants").fetchall()


@dataclass(frozen=True)
class Crowd:
    """Threads that repeat what they do until the time is up."""

    errors: list[psycopg.Error]
    calls: int


def crowd(dsn: str, seconds: float, tasks: Sequence[Callable[[Connection[Any]], Any]]) -> Crowd:
    """Runs every task in a thread and connection of its own, over and over. Keeps what is no refusal."""
    errors: list[psycopg.Error] = []
    until = time.monotonic() + seconds

    def repeat(task: Callable[[Connection[Any]], Any]) -> int:
        calls = 0
        with database.connect(dsn, row_factory=dict_row) as own:
            own.execute("set deadlock_timeout = '50ms'")
            while time.monotonic() < until:
                try:
                    task(own)
                except psycopg.Error as error:
                    if not (error.sqlstate or "").startswith("PT"):
                        errors.append(error)
                calls += 1
        return calls

    with ThreadPoolExecutor(len(tasks)) as pool:
        return Crowd(errors, sum(pool.map(repeat, tasks)))
