"""A hundred callers start the same run at the same moment: one of them starts it, the others meet it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg

from sisu_kodo import database
from sisu_kodo.client import Client
from tests.integration.runner_support import put, scalar

CALLERS = 100


def test_a_hundred_identical_starts_make_one_run(dsn: str, conn: psycopg.Connection[Any]) -> None:
    put(Client(conn), {"handler": "test/noop"})
    together = threading.Barrier(CALLERS, timeout=60)

    def begin(_: int) -> dict[str, Any]:
        with closing(database.connect(dsn)) as own:
            client = Client(own)
            together.wait()
            intent = client.create_intent({"goal": "once", "inputs": {}, "constraints": {}})
            return client.start_run(intent["intentId"], recipeName="test")

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(begin, range(CALLERS)))
    assert [answer["isReplay"] for answer in answers].count(False) == 1
    assert len({answer["workflowID"] for answer in answers}) == 1
    assert scalar(conn, "select count(*) from app.runs") == 1
    assert scalar(conn, "select count(*) from app.intents") == 1
    assert scalar(conn, "select count(*) from app.run_steps") == 1
    assert Client(conn).broken_laws() == []
