"""The admin port of a runner: what it counts, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ..counters import SECONDS, Counters
from ..lanes import Desk
from .admin import admin_app
from .health import Readiness
from .server import Server, server


def runner_admin(dsn: str, app_version: str, is_leaving: Callable[[], bool], desk: Desk) -> Server:
    """The server of a runner's admin port."""
    readiness = Readiness(dsn, app_version, False, is_leaving)
    return server(admin_app(readiness, process=lambda: families(desk)), lifespan=False)


def families(desk: Desk) -> Iterable[Metric]:
    """The runner's counters and slots as metrics."""
    slots = GaugeMetricFamily("sisu_slots", "Steps that this runner takes at once.", labels=("queue",))
    busy = GaugeMetricFamily("sisu_slots_busy", "Slots in use.", labels=("queue",))
    for queue, limit in desk.limits.items():
        slots.add_metric((queue,), limit)
        busy.add_metric((queue,), desk.busy[queue])
    yield from (slots, busy, *_counted(desk.counters, desk.limits))


def _counted(counters: Counters, queues: Iterable[str]) -> Iterable[Metric]:
    for name, what, counts in (
        ("sisu_claims", "Lanes that this runner was given.", counters.claims),
        ("sisu_retries", "Attempts after the first that it began.", counters.retries),
    ):
        family = CounterMetricFamily(name, what, labels=("queue",))
        for queue in queues:
            family.add_metric((queue,), counts[queue])
        yield family
    for name, what, count in (
        ("sisu_commits", "Results that were committed.", counters.commits),
        (
            "sisu_commits_refused",
            "Results that were fenced off: the lease was not held any more.",
            counters.refused,
        ),
        ("sisu_leases_lost", "Leases that were lost while a step ran.", counters.leases_lost),
        ("sisu_calls", "Calls of app.work that were answered.", counters.calls),
        ("sisu_reconnects", "Connections that carry work, opened again.", counters.reconnects),
    ):
        yield CounterMetricFamily(name, what, count)
    steps = HistogramMetricFamily(
        "sisu_step_duration_seconds", "How long attempts took here.", labels=("handler", "status")
    )
    for (handler, status), durations in counters.steps.items():
        total, buckets = 0, []
        for bound, count in zip((*SECONDS, float("inf")), durations.buckets, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
        steps.add_metric((handler, status), buckets, durations.total)
    yield steps
