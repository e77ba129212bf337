"""What the tests of races share: recipes and runs in one line, claims, results, callers at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

Lane = dict[str, Any]
_LANE = ("outcome", "runId", "stepId", "idx", "taskKey", "attempt", "queue", "msgId", "readCt")
_RESULT = ("runId", "idx", "taskKey", "attempt", "queue", "msgId", "readCt")
_LEASE = ("runId", "idx", "taskKey", "queue", "msgId", "readCt")
_WORK = """
select outcome, run_id, step_id, idx, task_key, attempt, queue_name, msg_id, read_ct
from app.work(%s, %s, %s)
"""


def recipe(conn: Connection[Any], name: str, *steps: dict[str, Any]) -> None:
    """Put and activate a recipe; a step without an id is called `S<position>`."""
    numbered = [{"stepId": f"S{n}", "handler": f"t/{n}", **step} for n, step in enumerate(steps)]
    conn.execute("select app.put_recipe(%s)", [Jsonb({"name": name, "steps": numbered})])
    conn.execute("select app.activate_recipe(%s)", [name])


def intent(conn: Connection[Any], goal: str) -> str:
    """The id of a new intent."""
    body = Jsonb({"goal": goal, "inputs": {}, "constraints": {}})
    return str(one(conn, "select app.create_intent(%s) ->> 'intentId'", body))


def start(conn: Connection[Any], goal: str, name: str, **options: Any) -> str:
    """The id of a new run."""
    run_id = intent(conn, goal)
    conn.execute("select app.start_run(%s, %s)", [run_id, Jsonb({"recipeName": name, **options})])
    return run_id


def register(conn: Connection[Any], worker: str) -> None:
    """A worker of the engine's own version, on both queues."""
    version = one(conn, "select app.setting('app_version')")
    info = {"appVersion": version, "queues": ["intentQ", "sbxQ"], "concurrency": 8}
    conn.execute("select app.register_worker(%s, %s)", [worker, Jsonb(info)])


def work(
    conn: Connection[Any], worker: str, results: Sequence[dict[str, Any]] = (), **want: Any
) -> list[Lane]:
    """One call of app.work; its rows without their context."""
    rows = conn.execute(_WORK, [worker, Jsonb(list(results)), Jsonb(want)]).fetchall()
    return [dict(zip(_LANE, row, strict=True)) for row in rows]


def done(lane: Lane, **more: Any) -> dict[str, Any]:
    """The result of a lane, SUCCESS unless `more` says otherwise."""
    return {**{key: lane[key] for key in _RESULT}, "status": "SUCCESS", **more}


def lease(lane: Lane) -> dict[str, Any]:
    """The lane as heartbeat and release take it."""
    return {key: lane[key] for key in _LEASE}


AGE = """
with aged as (select m.msg_id from pgmq.{queue} as m for update skip locked)
update pgmq.{queue} as m set vt = m.vt - %s::interval from aged where m.msg_id = aged.msg_id
"""


def age_leases(conn: Connection[Any], by: str = "1 minute") -> None:
    """The holders of all leases have been silent for so long, unless somebody looks at them now."""
    # a plain update waits, and takes the rows in an order of its own: two of them met in a deadlock
    for queue in ("q_intentq", "q_sbxq"):
        conn.execute(AGE.format(queue=queue).encode(), [by])


def one(conn: Connection[Any], statement: str, *arguments: Any) -> Any:
    """The first column of the first row."""
    row = conn.execute(statement.encode(), arguments).fetchone()
    return row[0] if row else None


def status(conn: Connection[Any], run_id: str) -> str:
    """The run's status."""
    return str(one(conn, "select status from app.runs where run_id = %s", run_id))


def broken_laws(conn: Connection[Any]) -> list[Any]:
    """The rows of app.v_invariants."""
    return conn.execute("select * from app.v_invariants").fetchall()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Calls that begin at the same moment, each in a thread; their results, or the exceptions they raised."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def wait_until_blocked(conn: Connection[Any], pid: int, seconds: float = 10) -> None:
    """Until the connection of this server process waits for a lock."""
    deadline = time.monotonic() + seconds
    asked = "select coalesce(wait_event_type = 'Lock', false) from pg_stat_activity where pid = %s"
    while not one(conn, asked, pid):
        assert time.monotonic() < deadline, "it never waited"
        time.sleep(0.005)
