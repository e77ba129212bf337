"""The admin port: alive, ready (or why not), and the numbers of a scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sisu_kodo.client import Client
from sisu_kodo.config import Config
from sisu_kodo.http.admin import admin_app, pool_families
from sisu_kodo.http.health import Readiness
from sisu_kodo.http.metrics import HttpMetrics
from sisu_kodo.http.runner_admin import families
from sisu_kodo.lanes import Desk
from sisu_kodo.models import StepContext, StepError
from sisu_kodo.registry import Registry
from sisu_kodo.worker import RunnerOptions, Worker
from tests.http.http_support import Api, put_recipes, work


def ask(app: Any, path: str, method: str = "GET") -> httpx.Response:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            return await client.request(method, path)

    return asyncio.run(call())


def samples(text: str) -> dict[str, float]:
    """`name{label=value,…}` → value."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def ready(dsn: str, **more: Any) -> dict[str, Any]:
    options = {"app_version": "0.1.0", "is_strict": True, **more}
    answer = ask(admin_app(Readiness(dsn, **options)), "/readyz")
    report: dict[str, Any] = answer.json()
    assert answer.status_code == (200 if report["ready"] else 503)
    return report


def test_alive_whatever_the_database_does() -> None:
    app = admin_app(Readiness("host=/nowhere dbname=x", "1", True))
    assert ask(app, "/healthz").json() == {"ok": True}
    assert samples(ask(app, "/metrics").text) == {"sisu_database_up": 0.0}
    answer = ask(app, "/readyz")
    assert (answer.status_code, answer.json()["checks"]["database"]["ok"]) == (503, False)
    assert "nowhere" not in answer.text
    assert ask(app, "/nope").json()["code"] == "route_not_found"
    post = ask(app, "/healthz", "POST")
    assert (post.status_code, post.json()["code"]) == (405, "method_not_allowed")


def test_ready_when_all_is_as_it_should_be(dsn: str) -> None:
    report = ready(dsn)
    assert report["ready"] is True
    assert set(report["checks"]) == {"database", "schema", "pgmq", "appVersion", "process"}


def test_not_ready_says_why(
    dsn: str, empty_dsn: str, connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    def failing(report: dict[str, Any]) -> list[str]:
        return [name for name, check in report["checks"].items() if not check["ok"]]

    assert failing(ready(empty_dsn)) == ["database"]
    assert "sisu db migrate" in ready(empty_dsn)["checks"]["database"]["hint"]
    assert failing(ready(dsn, is_leaving=lambda: True)) == ["process"]
    assert failing(ready(dsn, app_version="2")) == ["appVersion"]
    assert failing(ready(dsn, app_version="2", is_strict=False)) == [], "a runner may serve an older version"
    conn = connect()
    conn.execute("update app.settings set value = '\"other\"' where key = 'code_hash'")
    assert failing(ready(dsn)) == ["schema"]
    conn.execute("insert into app.queues (queue_name) values ('newQ')")
    report = ready(dsn)
    assert failing(report) == ["schema", "pgmq"]
    assert report["checks"]["pgmq"]["missingQueues"] == ["newQ"]


def test_a_scrape_of_the_api(api: Api, conn: psycopg.Connection[Any], dsn: str) -> None:
    api.run("one", queuePartitionKey="p")
    api.run("two", "gated")
    work(conn, 2)
    api.get("/api/runs/x")
    api.get("/nowhere")
    shim = api.application.shim
    app = admin_app(
        Readiness(dsn, "0.1.0", True), (shim.metrics.registry,), lambda: pool_families(shim.engine.stats())
    )
    found = samples(ask(app, "/metrics").text)
    assert found["sisu_database_up"] == 1
    assert found["sisu_queue_depth{queue=intentQ,state=enqueued}"] == 1
    assert found["sisu_queue_depth{queue=intentQ,state=pending}"] == 0
    assert found["sisu_queue_oldest_age_seconds{queue=intentQ}"] >= 0
    assert found["sisu_queue_paused{queue=sbxQ}"] == 0
    assert found["sisu_workers_alive{app_version=0.1.0}"] == 1
    assert found["sisu_gates_open"] == 1
    assert found["sisu_timers_overdue"] == 0
    assert found["sisu_pool_connections{state=size}"] >= 1
    assert found["sisu_http_requests_total{method=POST,route=/api/runs,status=201}"] == 2
    assert found["sisu_http_requests_total{method=GET,route=/api/runs/{workflowID},status=404}"] == 1
    assert found["sisu_http_requests_total{method=GET,route=none,status=404}"] == 1
    assert found["sisu_http_request_duration_seconds_count{route=/api/runs}"] == 2


def test_a_scrape_of_a_runner(dsn: str, conn: psycopg.Connection[Any], config: Config) -> None:
    registry = Registry()

    @registry.handler("t/a")
    def flaky(ctx: StepContext) -> dict[str, Any]:
        if ctx.attempt == 1:
            raise StepError("flaky", "not yet", retryable=True)
        return {}

    @registry.handler("t/b")
    async def fine(ctx: StepContext) -> dict[str, Any]:
        return {}

    client = Client(conn)
    steps = [
        {"stepId": "A", "handler": "t/a", "retry": {"maxAttempts": 2}},
        {"stepId": "B", "handler": "t/b"},
    ]
    client.put_recipe({"name": "flaky", "steps": steps})
    intent = client.create_intent({"goal": "g", "inputs": {}, "constraints": {}})
    run = client.start_run(intent["intentId"], recipeName="flaky")["workflowID"]
    options = RunnerOptions(name="w", until_idle=True, poll_interval=0.05)
    worker = Worker(dsn, config, registry, options)
    assert asyncio.run(asyncio.wait_for(worker.run(), 30)) == 0
    assert client.run(run)["status"] == "SUCCESS"
    app = admin_app(Readiness(dsn, "0.1.0", False), process=lambda: families(worker.desk))
    found = samples(ask(app, "/metrics").text)
    assert found["sisu_claims_total{queue=intentQ}"] >= 1
    assert found["sisu_commits_total"] == 3
    assert found["sisu_retries_total{queue=intentQ}"] == 1
    assert found["sisu_retries_total{queue=controlQ}"] == 0, "told from the first scrape on"
    assert found["sisu_commits_refused_total"] == 0
    assert found["sisu_leases_lost_total"] == 0
    assert found["sisu_reconnects_total"] == 0
    assert found["sisu_slots{queue=intentQ}"] == 10
    assert found["sisu_slots_busy{queue=intentQ}"] == 0
    assert found["sisu_step_duration_seconds_count{handler=t/a,status=ERROR}"] == 1
    assert found["sisu_step_duration_seconds_count{handler=t/a,status=SUCCESS}"] == 1
    assert found["sisu_step_duration_seconds_bucket{handler=t/b,le=+Inf,status=SUCCESS}"] == 1


def test_fenced_commits_are_counted() -> None:
    from sisu_kodo.lanes import Call, Lane, Result
    from sisu_kodo.models import Assignment

    desk = Desk({"q": 2}, 1)
    row = Assignment("assigned", "r", "S", 0, "", 2, "q", 1, 0, "h", None, "{}", None)
    desk.settle(Call([], {"q": 1}), [row])
    lane = next(iter(desk.lanes.values()))
    assert isinstance(lane, Lane)
    desk.settle(Call([Result(lane, "{}")]), [row._replace(outcome="refused")])
    counters = desk.counters
    assert (counters.claims["q"], counters.retries["q"], counters.refused, counters.commits) == (1, 1, 1, 0)


def test_a_prometheus_server_can_read_it(dsn: str, conn: psycopg.Connection[Any]) -> None:
    put_recipes(conn)
    metrics = HttpMetrics()
    metrics.answered("GET", "/x", 200, 0.1)
    answer = ask(admin_app(Readiness(dsn, "0.1.0", True), (metrics.registry,)), "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = [family.name for family in text_string_to_metric_families(answer.text)]
    assert len(names) == len(set(names)), "a family stands once"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_no_data_of_runs_is_shown(dsn: str, conn: psycopg.Connection[Any], api: Api, path: str) -> None:
    run = api.run("secret goal", queuePartitionKey="secret-tenant")
    text = ask(admin_app(Readiness(dsn, "0.1.0", True)), path).text
    assert run not in text
    assert "secret" not in text
