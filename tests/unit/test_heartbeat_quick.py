"""Which lanes a heartbeat asks for, and when."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, cast

import pytest

from sisu_kodo import heartbeat
from sisu_kodo.attempts import Attempts
from sisu_kodo.heartbeat import Heartbeat
from sisu_kodo.lanes import Desk, Lane
from sisu_kodo.models import Assignment


class Connection:
    """Answers every beat with nothing, and notes what it asked for."""

    def __init__(self) -> None:
        self.beats: list[list[str]] = []

    async def execute(self, statement: str, arguments: dict[str, str]) -> Connection:
        self.beats.append([lease["runId"] for lease in json.loads(arguments["leases"])])
        return self

    async def fetchall(self) -> list[Any]:
        return []

    async def close(self) -> None:
        pass


def lane(desk: Desk, number: int, run_id: str, began: float, running: bool = True) -> None:
    one = Lane(Assignment("assigned", run_id, "S", 0, "", 1, "intentQ", number, 0, "h", None, "{}", None))
    one.began, one.running = began, running
    one.leased -= 10  # old enough for every beat to ask for it
    desk.lanes[one.key] = one


def beats(desk: Desk, interval: float, seconds: float) -> list[list[str]]:
    connection = Connection()

    async def connect(purpose: str) -> Any:
        return connection

    async def register() -> None:
        pass

    async def main() -> None:
        beat = Heartbeat("w", interval, desk, cast(Attempts, None), connect, register)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await beat.run()

    asyncio.run(main())
    return connection.beats


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_QUICK_SECONDS", 0.05)


def test_only_what_takes_its_time_is_asked_for_in_between() -> None:
    desk = Desk({"intentQ": 10}, 1)
    lane(desk, 1, "old", time.monotonic() - 10)
    lane(desk, 2, "young", time.monotonic() + 10)
    lane(desk, 3, "over", time.monotonic() - 10, running=False)
    found = beats(desk, 0.5, 0.8)
    everything = ["old", "young", "over"]
    assert found[0] == everything and everything in found[3:]
    others = [beat for beat in found if beat != everything]
    assert len(others) >= 5 and all(beat == ["old"] for beat in others)


def test_without_any_nothing_is_asked_in_between() -> None:
    desk = Desk({"intentQ": 10}, 1)
    lane(desk, 1, "young", time.monotonic() + 10)
    assert beats(desk, 0.5, 0.4) == [["young"]]
