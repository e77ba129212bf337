"""What the tests of the shim share: a server in a thread, runs in every state, a hash of what is stored."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psycopg
from fastapi import APIRouter
from psycopg import sql

from sisu_kodo import database
from sisu_kodo.client import Client
from sisu_kodo.http.app import Application
from sisu_kodo.http.server import server
from sisu_kodo.http.settings import HttpSettings
from sisu_kodo.queries import query
from sisu_kodo.sockets import listening

STEPS = {
    "plain": [{"stepId": "A", "handler": "t/a"}, {"stepId": "B", "handler": "t/b"}],
    "gated": [
        {"stepId": "A", "handler": "t/a"},
        {"stepId": "B", "handler": "t/b", "gate": {"key": "approve-plan", "shows": ["A"]}},
        {"stepId": "C", "handler": "t/c", "gate": {"key": "size", "kind": "input"}},
    ],
}


@dataclass(frozen=True)
class Api:
    """A server that runs, and a client for it."""

    url: str
    http: httpx.Client
    application: Application

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """POST a body: JSON, or bytes as they are."""
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        return self.http.post(path, content=content, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.http.get(path, **more)

    def intent(self, goal: str = "a goal") -> str:
        answer = self.post("/api/intents", {"goal": goal, "inputs": {}, "constraints": {}})
        return str(answer.json()["intentId"])

    def run(self, goal: str = "a goal", recipe: str = "plain", **more: Any) -> str:
        """A started run; its id."""
        answer = self.post("/api/runs", {"intentId": self.intent(goal), "recipeName": recipe, **more})
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["workflowID"])


def settings(dsn: str, **more: Any) -> HttpSettings:
    return replace(HttpSettings(dsn=dsn, app_version="0.1.0", pool_size=4), **more)


@contextmanager
def serving(dsn: str, pages: Sequence[APIRouter] = (), **more: Any) -> Iterator[Api]:
    """A server of these settings and pages on a free port, stopped in order at the end."""
    wanted = settings(dsn, **more)
    with closing(database.connect(dsn)) as conn:
        row = conn.execute(query("arguments")).fetchone()
    assert row is not None
    application = Application(wanted, row[0], pages)
    own = listening("127.0.0.1", 0, "PORT")
    url = f"http://127.0.0.1:{own.getsockname()[1]}"
    one = server(
        application.asgi,
        receive_seconds=wanted.receive_seconds,
        send_seconds=wanted.send_seconds,
        on_stop=application.shim.stopping.set,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(one.serve(sockets=[own])))
    thread.start()
    try:
        wait_until(lambda: one.started or not thread.is_alive(), "the server's start")
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Api(url, client, application)
    finally:
        loop.call_soon_threadsafe(one.stop)
        thread.join(20)
        assert not thread.is_alive(), "the server did not leave"
        loop.close()


def put_recipes(conn: psycopg.Connection[Any]) -> None:
    """`plain`, the default: two steps; `gated`: approve-plan before the second, an input gate later."""
    client = Client(conn)
    for name, steps in STEPS.items():
        client.put_recipe({"name": name, "steps": steps})
    conn.execute("select app.put_setting('default_recipe', '\"plain\"')")


WORK = """
    select outcome, run_id, step_id, idx, task_key, attempt, queue_name, msg_id, read_ct
    from app.work(worker => %(worker)s, results => %(results)s::jsonb, want => %(want)s::jsonb)"""


def work(conn: psycopg.Connection[Any], times: int = 1, **result: Any) -> list[str]:
    """What a runner does, so many times: claim what is next on intentQ and end it. The steps' names."""
    be_there(conn)
    return [_finish(conn, result) for _ in range(times)]


def be_there(conn: psycopg.Connection[Any]) -> None:
    """A worker registers: no run is stale."""
    info = {"appVersion": "0.1.0", "queues": ["intentQ"], "concurrency": 1, "keepLeases": True}
    conn.execute(query("register_worker"), {"worker": "w", "info": json.dumps(info)})


def _finish(conn: psycopg.Connection[Any], result: Mapping[str, Any]) -> str:
    want = {"queues": {"intentQ": 1}, "recover": True}
    claimed = conn.execute(WORK, {"worker": "w", "results": "[]", "want": json.dumps(want)}).fetchone()
    assert claimed is not None, "nothing to claim"
    _, run, step, idx, task, attempt, queue, msg, read_ct, *_ = claimed
    done = {"runId": run, "idx": idx, "taskKey": task, "attempt": attempt, "queue": queue, "msgId": msg}
    report = {**done, "readCt": read_ct, "status": "SUCCESS", "output": {}, **result}
    call = {"worker": "w", "results": json.dumps([report]), "want": '{"drain": true}'}
    rows = conn.execute(WORK, call).fetchall()
    assert not [row for row in rows if row[0] == "refused"]
    return str(step)


def everything(conn: psycopg.Connection[Any]) -> str:
    """A hash of every row of the schema app and of the queues: the same hash, nothing was written."""
    names = conn.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and (n.nspname = 'app' or n.nspname = 'pgmq' and c.relname like 'q%')"
        " order by 1, 2"
    ).fetchall()
    parts = [
        sql.SQL("select md5(string_agg(t::text, chr(10) order by t::text)) from {} as t").format(
            sql.Identifier(*name)
        )
        for name in names
    ]
    rows = conn.execute(sql.SQL(" union all ").join(parts)).fetchall()
    return " ".join(str(row[0]) for row in rows)


def wait_until(condition: Any, what: str, seconds: float = 20.0) -> Any:
    """The first true value of `condition`. Raises AssertionError naming `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)
    return value
