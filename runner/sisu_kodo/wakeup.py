"""LISTEN: being told at once that work is ready. Optional: polling alone is correct, only later by a poll
interval.
"""

from __future__ import annotations

import asyncio

import psycopg

from .backoff import Backoff
from .connections import Connect
from .lanes import Desk
from .logs import Log
from .queries import query

_log = Log(__name__)


class Wakeup:
    """Listens on `sisu_ready` over a connection of its own until cancelled; the payload is a queue's name."""

    def __init__(self, desk: Desk, connect: Connect) -> None:
        self._desk = desk
        self._connect = connect

    async def run(self) -> None:
        backoff = Backoff(longest=30.0)
        while True:
            try:
                connection = await self._connect("wakeup")
                try:
                    await connection.execute(query("listen"))
                    self._desk.listening = True
                    self._desk.wake()  # whatever was said before we listened
                    backoff.reset()
                    async for notice in connection.notifies():
                        self._desk.wake((notice.payload,) if notice.payload else None)
                finally:
                    self._desk.listening = False
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                delay = backoff.next()
                _log.warning(
                    "wakeup.retry", error=str(error).strip().partition("\n")[0], seconds=round(delay, 2)
                )
                await asyncio.sleep(delay)
