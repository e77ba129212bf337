"""What a runner counts: plain numbers, kept where the work is done, read by whoever serves them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from .models import Assignment

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets of a step's duration."""


@dataclass
class Durations:
    """A histogram: `buckets[i]` counts what took at most SECONDS[i], the last one everything longer."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


@dataclass
class Counters:
    """Since the process began. `steps` is keyed by (handler, status of the attempt)."""

    claims: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    refused: int = 0
    leases_lost: int = 0
    calls: int = 0
    reconnects: int = 0
    steps: dict[tuple[str, str], Durations] = field(default_factory=dict)

    def row(self, row: Assignment) -> None:
        """A row of `app.work` came."""
        if row.outcome == "refused":
            self.refused += 1
            return
        if row.outcome == "assigned":
            self.claims[row.queue_name] += 1
        if row.attempt > 1:
            self.retries[row.queue_name] += 1

    def answered(self, committed: int) -> None:
        """A call of `app.work` was answered; so many of its results are committed."""
        self.calls += 1
        self.commits += committed

    def step_ended(self, handler: str, status: str, seconds: float) -> None:
        """An attempt ended in this process; whether it is committed is another matter."""
        key = (handler, status)
        (self.steps.get(key) or self.steps.setdefault(key, Durations())).add(seconds)
