"""What a poll costs: statements, rows and bytes are asserted, times are printed beside them."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import httpx
import psycopg
import pytest

from sisu_kodo import database
from sisu_kodo.client import Client
from sisu_kodo.http.app import Application
from sisu_kodo.http.settings import HttpSettings
from sisu_kodo.queries import query
from sisu_kodo.ui import ROUTERS
from tests.browser.browser_handlers import RECIPES
from tests.browser.browser_support import Browser, Stack, wait_until

TASKS = 1000
POLL = re.compile(r'hx-get="(/ui/live[^"]*)"')


def poll_of(html: str) -> str:
    """Where the page asks next."""
    found = POLL.search(html)
    assert found is not None, "the page does not poll"
    return found[1].replace("&amp;", "&")


def made_ms(answer: httpx.Response) -> float:
    """How long the server says it took."""
    return float(answer.headers["server-timing"].partition("dur=")[2])


@pytest.fixture
def client(dsn: str, conn: psycopg.Connection[Any]) -> Client:
    one = Client(conn)
    with closing(database.connect(dsn)):
        database.register_builtin(dsn)
    for recipe in RECIPES:
        one.put_recipe(recipe)
    return one


def asking(dsn: str, ask: Callable[[httpx.AsyncClient, list[str]], Coroutine[Any, Any, None]]) -> None:
    """`ask` with a client of the page in this process, and the list of the statements it comes to."""

    async def run() -> None:
        with closing(database.connect(dsn)) as conn:
            row = conn.execute(query("arguments")).fetchone()
        assert row is not None
        application = Application(HttpSettings(dsn=dsn, app_version="0.1.0", pool_size=2), row[0], ROUTERS)
        said: list[str] = []
        engine = application.shim.engine
        plain = engine.row

        async def row_of(statement: str, /, **arguments: Any) -> Any:
            said.append(statement)
            return await plain(statement, **arguments)

        engine.row = row_of  # type: ignore[method-assign]
        async with engine.opened():
            transport = httpx.ASGITransport(app=application.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                await ask(http, said)

    asyncio.run(run())


def start(client: Client, goal: str, recipe: str, **inputs: Any) -> str:
    intent = client.create_intent({"goal": goal, "inputs": inputs, "constraints": {}})
    return str(client.start_run(intent["intentId"], recipeName=recipe)["workflowID"])


def test_a_poll_is_one_statement_and_says_nothing_when_nothing_changed(dsn: str, client: Client) -> None:
    run = start(client, "wait", "slow")

    async def ask(http: httpx.AsyncClient, said: list[str]) -> None:
        page = await http.get(f"/?wid={run}")
        said.clear()
        at, answers = poll_of(page.text), []
        for _ in range(3):
            answers.append(await http.get(at))
            if answers[-1].status_code == 200:
                at = poll_of(answers[-1].text)  # as the page goes on
        assert said == ["page_run"] * 3
        # the clock of what waits moves in steps of five seconds: at most one of three polls meets a step
        assert [answer.status_code for answer in answers].count(204) >= 2
        assert all(not answer.content for answer in answers if answer.status_code == 204)
        client.control("cancel", run, "me", "over")
        last = await http.get(poll_of(page.text))
        assert last.status_code == 200
        assert "CANCELLED" in last.text
        assert not POLL.search(last.text), "the run is over: no further poll"

    asking(dsn, ask)


def test_a_poll_sends_only_what_changed(dsn: str, client: Client, conn: psycopg.Connection[Any]) -> None:
    run = start(client, "wait", "slow")

    async def ask(http: httpx.AsyncClient, said: list[str]) -> None:
        page = await http.get(f"/?wid={run}")
        conn.execute("select app.pause_queue('intentQ', 'ann', 'too hot')")
        answer = await http.get(poll_of(page.text))
        assert 'id="part-why"' in answer.text and "too hot" in answer.text
        assert 'id="part-control"' not in answer.text, "what somebody types there stays"

    asking(dsn, ask)


def test_a_run_of_a_thousand_tasks_stays_usable(
    browser: Browser, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.start_runner()
    run = stack.start("A thousand tasks", "many", tasks=TASKS)
    live: list[float] = []
    with httpx.Client(base_url=stack.url) as http:
        page = http.get(f"/?wid={run}")

        def polled() -> bool:
            answer = http.get(poll_of(page.text)) if stack.status(run) == "PENDING" else None
            if answer is not None:
                live.append(made_ms(answer))
            return answer is None

        wait_until(lambda: stack.status(run) != "ENQUEUED", "a beginning")
        wait_until(polled, "all tasks", 120)
        stack.wait(run, "SUCCESS")
        after = [http.get(f"/ui/live?wid={run}") for _ in range(20)]
        whole = http.get(f"/?wid={run}")
    paint = []
    for _ in range(3):
        browser.open_run(run)
        wait_until(lambda: first_paint(browser), "a first paint")
        paint.append(first_paint(browser))
    with capsys.disabled():
        told = f"\n{TASKS} tasks: first paint {statistics.median(paint):.0f} ms (worst {max(paint):.0f})"
        for words, times in (("while they run", live), ("after", [made_ms(each) for each in after])):
            if times:
                told += f"; poll {words} {statistics.median(times):.1f} ms (worst {max(times):.1f})"
        print(f"{told}; {len(after[0].content)} bytes")
    assert "1\u202f000 tasks" in browser.text
    assert len(browser.every(".step.task")) == 10, "ten tasks stand for all of them"
    assert len(after[0].content) < 40_000 and len(whole.content) < 60_000
    browser.driver.get(f"{stack.url}/tasks?wid={run}&idx=0&after=899")
    assert len(browser.every("tbody tr")) == 100


def first_paint(browser: Browser) -> float:
    script = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    return float(browser.driver.execute_script(script))
