"""The heartbeat: extends the leases that the runner holds, and hears which were lost or cancelled.

It has a connection of its own, so that a slow call of a pump never costs a lease. Attempts that take their
time are asked for every second in between, so that a cancel reaches them soon; lanes that are over in a
moment cost nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable

import psycopg

from .attempts import Attempts
from .backoff import Backoff
from .connections import Connect, Connection
from .lanes import Desk, Lane
from .logs import Log
from .models import Directive
from .queries import query

_log = Log(__name__)
_QUICK_SECONDS = 1.0
_YOUNG_SECONDS = 0.5
"""A cancel is heard within the sum of both."""
_SHRINK_SECONDS = 600.0


class Heartbeat:
    """Beats every `interval` seconds (well within the shortest lease) until cancelled, and every second for
    the lanes whose attempt is not young any more.
    """

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
        self._shrink_at = time.monotonic() + _SHRINK_SECONDS

    async def run(self) -> None:
        backoff = Backoff(longest=min(5.0, self._interval))
        while True:
            try:
                connection = await self._connect("heartbeat")
                try:
                    while True:
                        due = time.monotonic() + self._interval
                        await self.beat(connection, self._held())
                        backoff.reset()
                        await self.shrink_queues(connection)
                        while (left := due - time.monotonic()) > 0:
                            await asyncio.sleep(min(left, _QUICK_SECONDS))
                            if left > _QUICK_SECONDS and (lanes := self._long_running()):
                                await self.beat(connection, lanes)
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

    def _held(self) -> list[Lane]:
        """Without those whose lease is so young that the next beat is early enough."""
        old = time.monotonic() - self._interval / 5
        return [lane for lane in self._desk.held() if lane.leased <= old]

    def _long_running(self) -> list[Lane]:
        old = time.monotonic() - _YOUNG_SECONDS
        return [lane for lane in self._desk.held() if lane.running and lane.began < old]

    async def shrink_queues(self, connection: Connection) -> None:
        """Every ten minutes: empty queue tables give their dead pages back, unless somebody is at work."""
        if time.monotonic() < self._shrink_at:
            return
        self._shrink_at = time.monotonic() + _SHRINK_SECONDS
        try:
            cursor = await connection.execute(query("shrink_queues"))
        except psycopg.errors.LockNotAvailable:
            return
        for (queues,) in await cursor.fetchall():
            if queues:
                _log.info("queues.shrunk", queues=queues)

    async def beat(self, connection: Connection, lanes: Iterable[Lane]) -> None:
        """One heartbeat for these lanes, and what it tells us to do."""
        leases = json.dumps([lane.lease() for lane in lanes])
        cursor = await connection.execute(query("heartbeat"), {"worker": self._worker, "leases": leases})
        self._obey([Directive._make(row) for row in await cursor.fetchall()])

    def _obey(self, orders: Iterable[Directive]) -> None:
        # of a beat of many lanes, those that ended meanwhile come back as lost
        held = {lane.key[:2]: lane for lane in self._desk.held()}
        for order in orders:
            lane = held.get((order.queue_name, order.msg_id))
            if lane is None:
                continue
            at = lane.attempt
            if (at.run_id, at.idx, at.task_key) != (order.run_id, order.idx, order.task_key):
                continue  # the lane has moved on while the order was on its way
            if order.directive == "cancel":
                if not lane.cancelled.is_set():
                    _log.info("lane.cancelled", run=at.run_id, step=at.step_id, task=at.task_key)
                    lane.cancelled.set()
            elif lane.running:
                _log.warning("lane.lost", run=at.run_id, step=at.step_id, task=at.task_key)
                self._desk.counters.leases_lost += 1
                self._attempts.stop(lane)
