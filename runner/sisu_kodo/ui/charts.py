"""`/charts`: the last hour by the minute, drawn on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..http.shim import Shared
from . import formats
from .pages import PageRoute, page
from .people import Looker

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MINUTES = 60
HEIGHT = 120.0
_STEPS_MS = (
    *(10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 120_000, 300_000, 600_000),
    *(1_200_000, 3_600_000, 7_200_000, 18_000_000, 43_200_000, 86_400_000),
)


@dataclass(frozen=True)
class Column:
    """A rectangle of a chart, in units of 60 by 120."""

    x: float
    y: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Chart:
    """`top` is what the upper edge means, `half` the middle; `now` sums the hour up."""

    title: str
    now: str
    top: str
    half: str
    columns: tuple[Column, ...]
    legend: tuple[tuple[str, str], ...]
    empty: bool


@router.get("/charts")
async def charts(request: Request, shim: Shared, person: Looker) -> Response:
    told = await shim.engine.value("page_charts")
    points = told["points"]
    found = (
        throughput(points),
        spans(points, "wait", "Wait for the first claim"),
        spans(points, "step", "Step duration"),
    )
    return page("charts.html", person, here="charts", charts=found, slow=told["slow"], now=told["now"])


def throughput(points: Sequence[dict[str, Any]]) -> Chart:
    """Runs that ended, stacked: succeeded, failed, cancelled."""
    kinds = ("succeeded", "failed", "cancelled")
    per = {(point["minute"], point["what"]): point["n"] for point in points}
    sums = [sum(per.get((minute, kind), 0) for kind in kinds) for minute in range(MINUTES)]
    top = _nice(max(sums, default=0))
    columns: list[Column] = []
    for minute in range(MINUTES):
        base = HEIGHT
        for kind in kinds:
            n = per.get((minute, kind), 0)
            if n:
                height = n / top * HEIGHT
                base -= height
                columns.append(
                    Column(minute, round(base, 2), round(height, 2), kind, f"{_ago(minute)}: {n} {kind}")
                )
    total = {kind: sum(per.get((minute, kind), 0) for minute in range(MINUTES)) for kind in kinds}
    now = f"{sum(total.values())} ended, {total['failed']} of them failed"
    legend = tuple((kind, f"{kind} {total[kind]}") for kind in kinds)
    return Chart(
        "Runs ended per minute", now, f"{top:g}", f"{top / 2:g}", tuple(columns), legend, not any(sums)
    )


def spans(points: Sequence[dict[str, Any]], what: str, title: str) -> Chart:
    """p95 behind p50, per minute."""
    own = [point for point in points if point["what"] == what]
    top = _nice_ms(max((point["p95_ms"] for point in own), default=0))
    columns: list[Column] = []
    for point in own:
        for kind in ("p95", "p50"):
            ms = point[f"{kind}_ms"]
            height = max(1.0, ms / top * HEIGHT)
            words = f"{_ago(point['minute'])}: {kind} {formats.duration(ms)} of {point['n']}"
            columns.append(Column(point["minute"], round(HEIGHT - height, 2), round(height, 2), kind, words))
    worst = max((point["p95_ms"] for point in own), default=None)
    count = sum(point["n"] for point in own)
    now = f"{count} measured, worst minute p95 {formats.duration(worst)}"
    legend = (("p50", "p50: half are faster"), ("p95", "p95: 19 of 20 are faster"))
    return Chart(
        title, now, formats.duration(top), formats.duration(top / 2), tuple(columns), legend, not own
    )


def _ago(minute: int) -> str:
    return "this minute" if minute == MINUTES - 1 else f"{MINUTES - 1 - minute} min ago"


def _nice(n: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100 …"""
    size = 1.0
    while True:
        for step in (2, 4, 10):
            if n <= step * size:
                return step * size
        size *= 10


def _nice_ms(ms: float) -> float:
    """A round number of ms, seconds, minutes or hours that is not smaller."""
    return float(next((step for step in _STEPS_MS if ms <= step), 86_400_000 * -(-ms // 86_400_000)))
