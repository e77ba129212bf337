"""What a runner does with the orders that its heartbeat brings."""

from __future__ import annotations

from typing import Any, cast

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
    held = Lane(Assignment("assigned", "run", "S1", 1, "", 1, "intentQ", 7, 0, "h", None, {}, None))
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
    heartbeat._obey(Directive(directive, "run", idx, "", "intentQ", 7))
    assert lane.cancelled.is_set() is (told == "cancelled")
    assert (stopped.lanes == [lane]) is (told == "stopped")
