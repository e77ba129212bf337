"""The heartbeat: extends every lease that the runner holds, and hears which were lost or cancelled.

It has a connection of its own, so that a slow call of a pump never costs a lease.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import psycopg

from .attempts import Attempts
from .backoff import Backoff
from .lanes import Desk
from .logs import Log
from .models import Directive
from .pump import Connect, Connection
from .queries import query

_log = Log(__name__)


class Heartbeat:
    """Beats every `interval` seconds (well within the shortest lease) until cancelled."""

    def __init__(
        self,
        worker: str,
        interval: float,
        desk: Desk,
        attempts: Attempts,
        connect: Connect,
        register: Callable[[], Awaitable[None]],
    ) -> None:
        self._worker = worker
        self._interval = interval
        self._desk = desk
        self._attempts = attempts
        self._connect = connect
        self._register = register

    async def run(self) -> None:
        backoff = Backoff(longest=min(5.0, self._interval))
        while True:
            try:
                connection = await self._connect("heartbeat")
                try:
                    while True:
                        await self.beat(connection)
                        backoff.reset()
                        await asyncio.sleep(self._interval)
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                if isinstance(error, psycopg.Error) and error.sqlstate == "PT404":
                    # somebody retired us, or emptied the database
                    await self._register()
                    continue
                delay = backoff.next()
                _log.warning(
                    "heartbeat.retry", error=str(error).strip().partition("\n")[0], seconds=round(delay, 2)
                )
                await asyncio.sleep(delay)

    async def beat(self, connection: Connection) -> None:
        """One heartbeat, and what it tells us to do."""
        leases = json.dumps([lane.lease() for lane in self._desk.held()])
        cursor = await connection.execute(query("heartbeat"), {"worker": self._worker, "leases": leases})
        for row in await cursor.fetchall():
            self._obey(Directive._make(row))

    def _obey(self, order: Directive) -> None:
        for lane in self._desk.held():
            at = lane.attempt
            if (at.queue_name, at.msg_id, at.run_id) != (order.queue_name, order.msg_id, order.run_id):
                continue
            if order.directive == "cancel":
                if not lane.cancelled.is_set():
                    _log.info("lane.cancelled", run=at.run_id, step=at.step_id, task=at.task_key)
                    lane.cancelled.set()
            elif lane.running and (at.idx, at.task_key) == (order.idx, order.task_key):
                _log.warning("lane.lost", run=at.run_id, step=at.step_id, task=at.task_key)
                self._desk.counters.leases_lost += 1
                self._attempts.stop(lane)
