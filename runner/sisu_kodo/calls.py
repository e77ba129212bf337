"""Calls of a runner beside its pumps: checkpoints of handlers, lanes given back.

A few connections of their own, opened when they are needed. A call that loses its connection is made again
until the database answers or nobody wants the answer any more; so only calls that may be made twice belong
here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg

from .backoff import Backoff
from .checkpoints import LaneLost
from .connections import Connect, Connection
from .errors import first_line, from_database, is_connection_error, is_transient
from .logs import Log
from .models import JSON, StepError
from .queries import query

_log = Log(__name__)


class Calls:
    """At most `most` calls at once, each on a connection of its own."""

    def __init__(self, worker: str, connect: Connect, most: int = 4) -> None:
        self._worker = worker
        self._connect = connect
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Connection] = []

    async def checkpoint(self, lease: str, entry: str, wanted: Callable[[], bool]) -> JSON:
        """Commit a checkpoint (both JSON) and return its value as it is stored.

        Raises LaneLost when the lease is not held any more, StepError `determinism_error` when something else
        is recorded at its place, `checkpoint_rejected` when it cannot be stored.
        """
        try:
            stored = await self._call("checkpoint", {"lease": lease, "entry": entry}, wanted)
        except psycopg.Error as error:
            refusal = from_database(error)
            if refusal.code == "stale_lease":
                raise LaneLost from error
            code = refusal.code if refusal.code == "determinism_error" else "checkpoint_rejected"
            details = {"drift": refusal.drift} if refusal.drift else None
            raise StepError(code, refusal.message, retryable=False, details=details) from error
        return stored["value"]

    async def release(self, leases: str, wanted: Callable[[], bool]) -> int:
        """Give lanes back (JSON). Returns how many of them were held. Raises psycopg.Error, LaneLost."""
        return int(await self._call("release", {"leases": leases}, wanted))

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _call(self, statement: str, arguments: dict[str, Any], wanted: Callable[[], bool]) -> JSON:
        backoff = Backoff(first=0.1, longest=2.0)
        async with self._slots:
            while wanted():
                try:
                    return await self._try(statement, arguments)
                except (psycopg.Error, OSError) as error:
                    if not (is_connection_error(error) or is_transient(error)):
                        raise
                    delay = backoff.next()
                    _log.warning(f"{statement}.retry", error=first_line(error), seconds=round(delay, 2))
                    await asyncio.sleep(delay)
        raise LaneLost

    async def _try(self, statement: str, arguments: dict[str, Any]) -> JSON:
        connection = self._idle.pop() if self._idle else await self._connect("calls")
        try:
            cursor = await connection.execute(query(statement), {"worker": self._worker, **arguments})
            row = await cursor.fetchone()
        except psycopg.Error as error:
            if is_connection_error(error, connection):
                await connection.close()
                raise ConnectionError(first_line(error)) from error
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)
        return row[0] if row else None
