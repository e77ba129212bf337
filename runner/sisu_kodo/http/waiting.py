"""Long polls: a read that is answered when it differs from what the caller knows, or when the time is up.

What the caller knows is the ETag in If-None-Match, or `since`, the `updatedAt` that it saw. Without either a
call waits for the next change, unless somebody is asked for already. A run that is over is answered at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request

from ..client import TERMINAL
from .answers import matches, tag_of
from .shim import Shim, written_as

_Plain = written_as(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
Wait = Annotated[
    float,
    Query(ge=0, le=60, description="Wait up to so many seconds for an answer that says something new."),
    _Plain,
]
Since = Annotated[
    int | None, Query(ge=0, le=2**53, description="updatedAt that the caller knows; for wait."), _Plain
]


@dataclass(frozen=True)
class Reading:
    """What was read: the run's header, what is answered, and whether somebody is asked for."""

    header: dict[str, Any]
    shown: Any
    asks: bool


@dataclass(frozen=True)
class Known:
    """What the caller knows: If-None-Match and `since`; `first` is what there was when it began to wait."""

    tag: str | None
    since: int | None
    first: Reading

    def is_news(self, reading: Reading) -> bool:
        if reading.header["status"] in TERMINAL:
            return True
        if self.tag is None and self.since is None:
            return reading.asks or reading.shown != self.first.shown
        if self.tag is not None and not matches(self.tag, tag_of(reading.shown)):
            return True
        return self.since is not None and reading.header["updatedAt"] != self.since


async def held(
    shim: Shim, request: Request, wait: float, since: int | None, read: Callable[[], Awaitable[Reading]]
) -> Any:
    """What `read` shows as soon as it is news; the last reading when `wait` seconds are over, the caller has
    gone, the server stops, or too many wait already.
    """
    reading = await read()
    known = Known(request.headers.get("if-none-match"), since, reading)
    if known.is_news(reading) or shim.waiting >= shim.settings.most_waiting:
        return reading.shown
    deadline = time.monotonic() + min(wait, shim.settings.longest_wait)
    shim.waiting += 1
    try:
        while (left := deadline - time.monotonic()) > 0 and not shim.stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(shim.stopping.wait(), min(shim.settings.poll_interval, left))
            if await request.is_disconnected():
                break
            reading = await read()
            if known.is_news(reading):
                break
    finally:
        shim.waiting -= 1
    return reading.shown
