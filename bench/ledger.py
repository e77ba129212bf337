"""The ledger: what is promised of each figure, and whether a measurement keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["aim", "met", "missed", "not measured"]

MARKS: dict[Verdict, str] = {"aim": "✓✓", "met": "✓", "missed": "✗", "not measured": "–"}


@dataclass(frozen=True)
class Target:
    """A promise. `least` is what must be reached, `aim` what we would like: a number, or the share of the
    measured ceiling that `aim_of_ceiling` says. `more_is_better` says in which direction.
    """

    key: str
    figure: str
    unit: str
    least: float
    aim: float | None = None
    aim_of_ceiling: float | None = None
    more_is_better: bool = False
    digits: int = 1


@dataclass(frozen=True)
class Measured:
    """The figure of a target, and in words what it stands beside. `ceiling` is in the target's unit."""

    key: str
    value: float
    ceiling: float | None = None
    beside: str = ""


TARGETS = (
    Target(
        "steps_per_second", "steps/s, 4 steps a run, one runner", "/s", 10_000, more_is_better=True, digits=0
    ),
    Target("share_of_ceiling", "… as a share of the ceiling", "%", 40, 60, more_is_better=True),
    Target("latency_p50", "idle run of 4 steps, start to SUCCESS, p50", "ms", 10, 6),
    Target(
        "start_single",
        "`start_run`, one client",
        "/s",
        1_500,
        aim_of_ceiling=0.5,
        more_is_better=True,
        digits=0,
    ),
    Target(
        "start_bulk",
        "`start_runs`, 1,000 a call",
        "/s",
        20_000,
        aim_of_ceiling=0.5,
        more_is_better=True,
        digits=0,
    ),
    Target("claim_growth", "cost of a claim, 1 M waiting against 1 k", "×", 1.5, 1.1, digits=2),
    Target("small_wait", "small tenant behind a 100 k backlog, p99", "cycles", 2, 1, digits=0),
    Target(
        "held_snapshot",
        "steps/s with a held snapshot, end against begin",
        "%",
        90,
        97,
        more_is_better=True,
    ),
    Target("idle_statements", "statements of an idle runner", "/s", 2, 0.5, digits=2),
    Target("slowest_oracle", "slowest oracle with 1 M runs, median", "ms", 100, 20),
    Target("rss_idle", "memory of an idle runner", "MB", 120, 80),
    Target("rss_growth", "its growth from run 1,000 to the last", "%", 10, 2),
)


def aim(target: Target, measured: Measured | None) -> float | None:
    """The aim as a number; None when there is none, or its ceiling was not measured."""
    if target.aim_of_ceiling is None:
        return target.aim
    if measured is None or measured.ceiling is None:
        return None
    return measured.ceiling * target.aim_of_ceiling


def verdict(target: Target, measured: Measured | None) -> Verdict:
    """How the measurement stands to the promise."""
    if measured is None:
        return "not measured"
    if not _reaches(target, measured.value, target.least):
        return "missed"
    wish = aim(target, measured)
    return "aim" if wish is not None and _reaches(target, measured.value, wish) else "met"


def number(value: float | None, unit: str, digits: int) -> str:
    """`12,345/s`, `3.2 ms`; `–` for none."""
    if value is None:
        return "–"
    space = "" if unit.startswith("/") or unit == "×" else " "
    return f"{value:,.{digits}f}{space}{unit}"


def bound(target: Target, value: float | None) -> str:
    """The bound in words: `≥ 40 %`."""
    if value is None:
        return "–"
    digits = 0 if value == int(value) or value >= 1000 else 2 if value * 10 != int(value * 10) else 1
    return f"{'≥' if target.more_is_better else '≤'} {number(value, target.unit, digits)}"


def _reaches(target: Target, value: float, wanted: float) -> bool:
    return value >= wanted if target.more_is_better else value <= wanted
