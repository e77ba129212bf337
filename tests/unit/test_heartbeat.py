"""What a runner does with the orders that its heartbeat brings."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import psycopg
import pytest

from sisu_kodo.attempts import Attempts
from sisu_kodo.heartbeat import Heartbeat
from sisu_kodo.lanes import Desk, Lane
from sisu_kodo.models import Assignment, Directive


class Stopped:
    """Stands in for Attempts: remembers which lanes it was told to stop."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []

    def stop(self, lane: Lane) -> None:
        self.lanes.append(lane)


@pytest.fixture
def lane() -> Lane:
    """A lane at its second step."""
    held = Lane(Assignment("assigned", "run", "S1", 1, "", 1, "intentQ", 7, 0, "h", None, "{}", None))
    held.running = True
    return held


@pytest.mark.parametrize(
    ("directive", "idx", "told"),
    [("cancel", 1, "cancelled"), ("cancel", 0, ""), ("lost", 1, "stopped"), ("lost", 0, "")],
)
def test_an_order_is_for_the_step_it_names(lane: Lane, directive: str, idx: int, told: str) -> None:
    desk, stopped = Desk({"intentQ": 1}, pumps=1), Stopped()
    desk.lanes[lane.key] = lane
    unused = cast(Any, None)
    heartbeat = Heartbeat("w", 1.0, desk, cast(Attempts, stopped), unused, unused)
    heartbeat._obey([Directive(directive, "run", idx, "", "intentQ", 7)])
    assert lane.cancelled.is_set() is (told == "cancelled")
    assert (stopped.lanes == [lane]) is (told == "stopped")


def test_a_beat_leaves_out_what_was_leased_a_moment_ago(lane: Lane) -> None:
    desk, unused = Desk({"intentQ": 1}, pumps=1), cast(Any, None)
    desk.lanes[lane.key] = lane
    heartbeat = Heartbeat("w", 5.0, desk, unused, unused, unused)
    assert heartbeat._held() == []
    lane.leased -= 1.1  # a later step of the lane does not make its lease any younger
    lane.began = time.monotonic()
    assert heartbeat._held() == [lane]


class Database:
    """Stands in for a connection: counts its statements, and may be at work."""

    def __init__(self, is_busy: bool) -> None:
        self.is_busy, self.statements = is_busy, 0

    async def execute(self, statement: str) -> Database:
        assert "app.shrink_queues" in statement
        self.statements += 1
        if self.is_busy:
            raise psycopg.errors.LockNotAvailable
        return self

    async def fetchall(self) -> list[tuple[list[str]]]:
        return [(["intentQ"],)]


@pytest.mark.parametrize("is_busy", [False, True])
def test_queues_are_shrunk_every_ten_minutes_and_never_insisted_upon(
    monkeypatch: pytest.MonkeyPatch, is_busy: bool
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    unused, connection = cast(Any, None), Database(is_busy)
    heartbeat = Heartbeat("w", 1.0, Desk({"intentQ": 1}, pumps=1), unused, unused, unused)
    seen = []
    for clock[0] in (1000.0, 1599.0, 1600.0, 1601.0, 2199.0, 2200.0):
        asyncio.run(heartbeat.shrink_queues(cast(Any, connection)))
        seen.append(connection.statements)
    assert seen == [0, 0, 1, 1, 1, 2]
