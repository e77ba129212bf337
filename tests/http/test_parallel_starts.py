"""The same request from many at once: one is the first, all others are replays."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.http.http_support import Api, serving


def at_once(urls: list[str], path: str, body: dict[str, Any], count: int) -> Counter[int]:
    with (
        httpx.Client(timeout=60, limits=httpx.Limits(max_connections=count)) as client,
        ThreadPoolExecutor(count) as pool,
    ):
        asks = [pool.submit(client.post, f"{urls[n % len(urls)]}{path}", json=body) for n in range(count)]
        answers = [ask.result() for ask in asks]
    assert len({answer.json().get("intentId") or answer.json()["workflowID"] for answer in answers}) == 1
    assert Counter(not answer.json()["isReplay"] for answer in answers)[True] == 1
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("count", [10, 100])
def test_exactly_one_201(api: Api, dsn: str, conn: psycopg.Connection[Any], count: int) -> None:
    """Over two shims side by side."""
    with serving(dsn) as other:
        urls = [api.url, other.url]
        intent = {"goal": f"{count} at once", "inputs": {}, "constraints": {}}
        assert at_once(urls, "/api/intents", intent, count) == {201: 1, 200: count - 1}
        run = {"intentId": api.intent(f"{count} at once"), "recipeName": "plain", "queuePartitionKey": "p"}
        assert at_once(urls, "/api/runs", run, count) == {201: 1, 200: count - 1}
    rows = conn.execute(
        "select (select count(*) from app.runs), (select count(*) from app.run_steps)"
    ).fetchone()
    assert rows == (1, 1)
    assert conn.execute("select * from app.v_invariants").fetchall() == []


def test_one_of_many_cancels_wins(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run()
    body = {"actor": "ann", "reason": "x"}
    with ThreadPoolExecutor(20) as pool:
        asks = [
            pool.submit(httpx.post, f"{api.url}/api/ops/wf/{run}/cancel", json=body, timeout=60)
            for _ in range(20)
        ]
        statuses = Counter(ask.result().status_code for ask in asks)
    assert statuses == {202: 1, 409: 19}
    audits = conn.execute("select count(*) from app.artifacts where step_id = 'OPS'").fetchone()
    assert audits == (1,)
