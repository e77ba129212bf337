"""Long polls: answered when there is something new, when the run is over, or when the time is up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from tests.http.http_support import Api, be_there, serving, wait_until, work


def meanwhile(action: Callable[[], Any], ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    """What `ask` is answered, and after how long, while `action` happens 0.5 s later."""
    timer = threading.Timer(0.5, action)
    timer.start()
    began = time.monotonic()
    answer = ask()
    seconds = time.monotonic() - began
    timer.join()
    return answer, seconds


@pytest.mark.parametrize("known", ["nothing", "tag", "since"])
def test_a_change_ends_the_wait(api: Api, conn: psycopg.Connection[Any], known: str) -> None:
    be_there(conn)
    run = api.run()
    now = api.get(f"/api/runs/{run}")
    query = f"&since={now.json()['updatedAt']}" if known == "since" else ""
    headers = {"if-none-match": now.headers["etag"]} if known == "tag" else {}
    answer, seconds = meanwhile(
        lambda: work(conn), lambda: api.get(f"/api/runs/{run}?wait=20{query}", headers=headers)
    )
    assert (answer.status_code, answer.json()["lastStep"]) == (200, "A")
    assert 0.4 < seconds < 10


def test_what_is_new_already_is_not_waited_for(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run(recipe="gated")
    old = api.get(f"/api/runs/{run}")
    work(conn)
    began = time.monotonic()
    assert (
        api.get(f"/api/runs/{run}?wait=20", headers={"if-none-match": old.headers["etag"]}).status_code == 200
    )
    assert api.get(f"/api/runs/{run}?wait=20&since={old.json()['updatedAt']}").status_code == 200
    assert api.get(f"/api/runs/{run}?wait=20").json()["nextAction"] == "APPROVE_PLAN", "somebody is asked for"
    assert api.get(f"/api/runs/{run}/gates?wait=20").json()[0]["status"] == "OPEN"
    api.post(f"/api/ops/wf/{run}/cancel", {"actor": "a", "reason": "b"})
    over = api.get(f"/api/runs/{run}?wait=20")
    assert over.json()["status"] == "CANCELLED"
    same = {"if-none-match": over.headers["etag"]}
    assert api.get(f"/api/runs/{run}?wait=20", headers=same).status_code == 304, "it is over"
    assert time.monotonic() - began < 8


def test_the_time_is_up_at_last(api: Api) -> None:
    run = api.run()
    began = time.monotonic()
    answer = api.get(f"/api/runs/{run}?wait=1.5")
    assert 1.4 < time.monotonic() - began < 8
    assert (answer.status_code, answer.json()["status"]) == (200, "ENQUEUED")
    tag = {"if-none-match": answer.headers["etag"]}
    assert api.get(f"/api/runs/{run}?wait=0.3", headers=tag).status_code == 304
    assert api.get(f"/api/runs/{run}/gates?wait=0.3").json() == []


@pytest.mark.parametrize("name", ["wait", "since"])
def test_a_number_is_written_in_decimal_digits(api: Api, name: str) -> None:
    run = api.run()
    for value in ("1_0", "%2B5", "%205", "٥", "inf", "nan", "0x5", "1e999", "", "-1"):
        for path in (f"/api/runs/{run}", f"/api/runs/{run}/gates"):
            answer = api.get(f"{path}?{name}={value}")
            assert answer.status_code == 400, (value, answer.text)
            assert [fault["path"] for fault in answer.json()["details"]] == [name], value


def test_a_gate_that_opens_ends_the_wait(api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run(recipe="gated")
    answer, seconds = meanwhile(lambda: work(conn), lambda: api.get(f"/api/runs/{run}/gates?wait=20"))
    assert [gate["gateKey"] for gate in answer.json()] == ["approve-plan"]
    assert 0.4 < seconds < 10
    known = {"if-none-match": answer.headers["etag"]}
    answer, seconds = meanwhile(
        lambda: conn.execute("select app.approve_plan(%s, 'ann')", [run]),
        lambda: api.get(f"/api/runs/{run}/gates?wait=20", headers=known),
    )
    assert answer.json()[0]["status"] == "ANSWERED"
    assert 0.4 < seconds < 10


def test_a_stop_ends_all_waits(dsn: str, conn: psycopg.Connection[Any], api: Api) -> None:
    run = api.run()
    answers: list[int] = []
    with serving(dsn) as other:
        asks = [
            threading.Thread(
                target=lambda: answers.append(
                    httpx.get(f"{other.url}/api/runs/{run}?wait=60", timeout=70).status_code
                )
            )
            for _ in range(3)
        ]
        for ask in asks:
            ask.start()
        wait_until(lambda: other.application.shim.waiting == 3, "three waiting calls")
        began = time.monotonic()
    for ask in asks:
        ask.join()
    assert answers == [200, 200, 200]
    assert time.monotonic() - began < 15


def test_who_has_gone_is_not_waited_for(api: Api) -> None:
    run = api.run()
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{api.url}/api/runs/{run}?wait=60", timeout=1)
    wait_until(lambda: api.application.shim.waiting == 0, "the end of the wait")


def test_too_many_waiting_calls_are_answered_at_once(dsn: str, api: Api) -> None:
    run = api.run()
    with serving(dsn, most_waiting=0) as other:
        began = time.monotonic()
        assert other.get(f"/api/runs/{run}?wait=30").status_code == 200
        assert time.monotonic() - began < 10
