"""A pump: one connection that carries results to the database and assignments back, one call after the other.

A lone result is sent at once. While a call is in flight further results gather, and the next call takes them
all. The connection is made again for ever; results stay queued meanwhile. If an answer was lost although its
transaction committed, the results sent again are refused as stale, and their lanes are dropped: nothing is
executed twice, and what the lost answer assigned comes back when its lease ends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import psycopg

from .attempts import Attempts
from .backoff import Backoff
from .connections import Connect, Connection
from .errors import first_line, is_connection_error, is_transient
from .lanes import Call, Desk, Lane, Result, want_json
from .logs import Log
from .models import JSON, Assignment
from .queries import query
from .results import as_array, rejected

_log = Log(__name__)
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Pump:
    """One of the runner's pumps. `run` returns when the desk is over."""

    def __init__(
        self, number: int, worker: str, app_version: str, desk: Desk, attempts: Attempts, connect: Connect
    ) -> None:
        self._number = number
        self._worker = worker
        self._app_version = app_version
        self._desk = desk
        self._attempts = attempts
        self._connect = connect
        self._after_call: Callable[[Call], None] = lambda call: None

    def after_call(self, callback: Callable[[Call], None]) -> None:
        """Have `callback(call)` called after every answer."""
        self._after_call = callback

    async def run(self) -> None:
        backoff = Backoff()
        while not self._desk.over():
            try:
                connection = await self._connect(f"pump {self._number}")
                try:
                    backoff.reset()
                    await self._serve(connection)
                finally:
                    await connection.close()
            except (psycopg.Error, OSError) as error:
                delay = backoff.next()
                self._desk.counters.reconnects += 1
                _log.warning(
                    "pump.reconnect", pump=self._number, error=first_line(error), seconds=round(delay, 2)
                )
                await asyncio.sleep(delay)

    async def _serve(self, connection: Connection) -> None:
        desk = self._desk
        failures = Backoff()
        while not desk.over():
            if not desk.due():
                desk.stir.clear()
                await desk.stir.wait()
                continue
            call = desk.plan()
            try:
                rows = await self._work(
                    connection, [r.text for r in call.results], want_json(call, self._app_version)
                )
            except psycopg.Error as error:
                if is_connection_error(error, connection):
                    desk.undo(call)
                    raise
                if is_transient(error) or not call.results:
                    desk.undo(call)
                    await _pause(error, failures)
                else:
                    desk.undo(Call([], call.want, poll=call.poll))
                    # once more without the claim: it may be that which was refused
                    await self._isolate(connection, [call.results], failures)
                continue
            except BaseException:
                desk.undo(call)
                raise
            failures.reset()
            await self._apply(connection, call, rows)

    async def _work(self, connection: Connection, results: list[str], want: JSON) -> list[Assignment]:
        arguments = {"worker": self._worker, "results": as_array(results), "want": _encode(want)}
        cursor = await connection.execute(query("work"), arguments)
        return [Assignment._make(row) for row in await cursor.fetchall()]

    async def _apply(self, connection: Connection, call: Call, rows: list[Assignment]) -> None:
        desk = self._desk
        start, refused = desk.settle(call, rows)
        for lane in refused:
            _log.info(
                "lane.refused", run=lane.attempt.run_id, step=lane.attempt.step_id, task=lane.attempt.task_key
            )
        if desk.keeping:
            for lane in start:
                self._attempts.start(lane)
        elif start:
            await self._give_back(connection, start)
        self._after_call(call)

    async def _give_back(self, connection: Connection, lanes: list[Lane]) -> None:
        """Lanes that came although we drain by now. If the call fails, their leases end by themselves."""
        try:
            await connection.execute(
                query("release"),
                {"worker": self._worker, "leases": _encode([lane.lease() for lane in lanes])},
            )
        finally:
            for lane in lanes:
                self._desk.drop(lane)

    async def _isolate(self, connection: Connection, groups: list[list[Result]], failures: Backoff) -> None:
        """The database refused a call as a whole: find the result that is to blame, keep the others.

        Sends the groups one by one, splitting each that is refused. Whatever is left when the connection
        fails waits again.
        """
        desk = self._desk
        try:
            while groups:
                part = Call(groups.pop(0), drain=not desk.keeping)
                desk.in_flight += 1
                try:
                    texts = [result.text for result in part.results]
                    rows = await self._work(connection, texts, want_json(part, self._app_version))
                except psycopg.Error as error:
                    desk.undo(Call([]))
                    if is_connection_error(error, connection):
                        groups.insert(0, part.results)
                        raise
                    if is_transient(error):
                        groups.insert(0, part.results)
                        await _pause(error, failures)
                    else:
                        groups[:0] = _smaller(desk, part.results, error)
                    continue
                await self._apply(connection, part, rows)
        finally:
            for group in groups:
                desk.results.extend(group)
            desk.stir.set()


def _smaller(desk: Desk, results: list[Result], error: psycopg.Error) -> list[list[Result]]:
    """What to send instead of results that were refused together: halves, then an ERROR, then nothing."""
    if len(results) > 1:
        middle = len(results) // 2
        return [results[:middle], results[middle:]]
    (result,) = results
    facts: dict[str, Any] = {
        "run": result.lane.attempt.run_id,
        "step": result.lane.attempt.step_id,
        "sqlstate": error.sqlstate,
    }
    if result.replaced:
        _log.error("result.dropped", **facts, message=first_line(error))
        desk.drop(result.lane)
        return []
    _log.warning("result.rejected", **facts, message=first_line(error))
    return [[rejected(result.lane, first_line(error))]]


async def _pause(error: psycopg.Error, failures: Backoff) -> None:
    delay = failures.next()
    _log.error("work.failed", sqlstate=error.sqlstate, message=first_line(error), seconds=round(delay, 2))
    await asyncio.sleep(delay)
