"""The numbers of a scrape: asked anew every time, but where they were dear to find they stand a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sisu_kodo.http import health


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Asked(health.Readiness):
    """Answers 1, 2, 3 … and takes `takes` seconds for each."""

    clock: Clock
    takes: float
    count = 0

    async def _ask(self, statement: str) -> Any:
        object.__setattr__(self, "count", self.count + 1)
        self.clock.now += self.takes
        return {"n": self.count}


def readiness(monkeypatch: pytest.MonkeyPatch, takes: float) -> Asked:
    made = Asked("dbname=x", "1", True)
    object.__setattr__(made, "clock", Clock())
    object.__setattr__(made, "takes", takes)
    monkeypatch.setattr(health, "time", made.clock)
    return made


def scrape(asked: Asked) -> Any:
    return asyncio.run(asked.gauges())


def test_cheap_numbers_are_asked_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = readiness(monkeypatch, takes=0.02)
    assert [scrape(asked)["n"] for _ in range(3)] == [1, 2, 3]


def test_dear_ones_stand_for_twenty_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = readiness(monkeypatch, takes=0.5)
    assert [scrape(asked)["n"] for _ in range(3)] == [1, 1, 1]
    asked.clock.now += 10.0
    assert scrape(asked)["n"] == 2
