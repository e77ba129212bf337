"""The admin port: `/healthz`, `/readyz`, `/metrics`. No data of runs, only whether and how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import answer
from .health import Readiness

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Given(Collector):
    """Families that were made before the scrape began."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def admin_app(
    readiness: Readiness,
    registries: Sequence[CollectorRegistry] = (),
    process: Callable[[], Iterable[Metric]] = lambda: (),
) -> Starlette:
    """The application of the admin port. `registries` and `process` are what this process counts."""

    async def healthz(request: Request) -> Response:
        return answer({"ok": True})

    async def readyz(request: Request) -> Response:
        ready, checks = await readiness.report()
        return answer({"ready": ready, "checks": checks}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        here = CollectorRegistry(auto_describe=False)
        here.register(Given([*process(), *engine_families(await readiness.gauges())]))
        text = b"".join(generate_latest(registry) for registry in (*registries, here))
        return Response(text, 200, {"content-type": _PROMETHEUS})

    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _no_route},
    )


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "route_not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return answer({"error": str(error.detail), "code": code}, error.status_code, error.headers)


def engine_families(gauges: dict[str, Any] | None) -> Iterable[Metric]:
    """What `app.gauges` tells, as metrics; only `sisu_database_up` when it could not be asked."""
    yield GaugeMetricFamily("sisu_database_up", "1 when the database answered.", float(gauges is not None))
    if gauges is None:
        return
    queues, workers = gauges["queues"], gauges["workers"]
    depth = GaugeMetricFamily(
        "sisu_queue_depth",
        "Steps in line, under a lease, and under an expired one.",
        labels=("queue", "state"),
    )
    oldest = GaugeMetricFamily(
        "sisu_queue_oldest_age_seconds", "Age of the oldest step in line.", labels=("queue",)
    )
    paused = GaugeMetricFamily("sisu_queue_paused", "1 while nothing of it is claimed.", labels=("queue",))
    for queue in queues:
        for state in ("enqueued", "pending", "expired"):
            depth.add_metric((queue["queueName"], state), float(queue[state] or 0))
        oldest.add_metric((queue["queueName"],), float(queue["oldestAgeS"] or 0))
        paused.add_metric((queue["queueName"],), float(queue["paused"]))
    alive = GaugeMetricFamily("sisu_workers_alive", "Live workers.", labels=("app_version",))
    slots = GaugeMetricFamily(
        "sisu_worker_slots", "Steps that live workers take at once.", labels=("app_version",)
    )
    for version in workers:
        alive.add_metric((version["appVersion"],), float(version["alive"] or 0))
        slots.add_metric((version["appVersion"],), float(version["slots"] or 0))
    yield from (depth, oldest, paused, alive, slots)
    yield GaugeMetricFamily("sisu_gates_open", "Gates that wait for a human.", gauges["openGates"])
    yield GaugeMetricFamily(
        "sisu_timers_overdue", "Timers that were due 5 s ago and longer.", gauges["overdueTimers"]
    )


def pool_families(stats: dict[str, int]) -> Iterable[Metric]:
    """The API's connection pool."""
    told = {
        "size": stats.get("pool_size", 0),
        "available": stats.get("pool_available", 0),
        "waiting": stats.get("requests_waiting", 0),
    }
    family = GaugeMetricFamily(
        "sisu_pool_connections", "Connections there are, are free, and are waited for.", labels=("state",)
    )
    for state, count in told.items():
        family.add_metric((state,), float(count))
    yield family
