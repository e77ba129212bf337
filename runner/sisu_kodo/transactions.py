"""Transactional handlers: the handler's own SQL and the commit of its step are one transaction.

    async with transactions.begin(…) as transaction:
        … transaction.bound(handler.function, ctx) …
        committed = await transactions.commit(transaction, result, …)

A connection is used again only after a commit; whatever else happens, it is closed, and the server rolls
back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from .backoff import Backoff
from .checkpoints import LaneLost
from .connections import Connect, Connection, ConnectSync
from .errors import first_line, is_connection_error, is_transient
from .lanes import Result
from .logs import Log
from .models import Assignment, StepContext, StepError
from .queries import query
from .results import as_array

_log = Log(__name__)

InThread = Callable[..., Awaitable[Any]]
"""Calls a function with arguments in a thread."""


class Committed(NamedTuple):
    """A result that is stored, and what `app.work` answered to it."""

    result: Result
    rows: list[Assignment]


class Refused(Exception):
    """The lease is not held any more; nothing was kept."""


class Unsure(Exception):
    """The connection was lost while the transaction was to commit: it did, or it did not."""


class Transaction(Protocol):
    """A connection inside a transaction."""

    @property
    def connection(self) -> Any: ...
    def bound(self, function: Callable[..., Any], ctx: StepContext) -> Callable[[], Any]: ...
    async def begin(self) -> None: ...
    async def work(self, arguments: dict[str, str]) -> list[Assignment]: ...
    async def end(self) -> None: ...
    async def reset(self) -> None: ...
    async def close(self) -> None: ...


class AsyncTransaction:
    """For an async handler."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def bound(self, function: Callable[..., Any], ctx: StepContext) -> Callable[[], Any]:
        return partial(function, ctx, self.connection)

    async def begin(self) -> None:
        self.connection.row_factory = tuple_row
        self._block = self.connection.transaction()
        await self._block.__aenter__()

    async def work(self, arguments: dict[str, str]) -> list[Assignment]:
        async with self.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(query("work"), arguments)
            return [Assignment._make(row) for row in await cursor.fetchall()]

    async def end(self) -> None:
        await self._block.__aexit__(None, None, None)

    async def reset(self) -> None:
        await self.connection.execute(query("discard"))

    async def close(self) -> None:
        await self.connection.close()


class SyncTransaction:
    """For a sync handler, which runs in a thread. One that outlives its timeout keeps the connection, and
    closes it when it ends.
    """

    def __init__(self, connection: psycopg.Connection[Any], in_thread: InThread) -> None:
        self.connection = connection
        self._in_thread = in_thread
        self._lock = threading.Lock()
        self._in_use = False
        self._abandoned = False

    def bound(self, function: Callable[..., Any], ctx: StepContext) -> Callable[[], Any]:
        return partial(self._guarded, function, ctx)

    def _guarded(self, function: Callable[..., Any], ctx: StepContext) -> Any:
        self._in_use = True
        try:
            return function(ctx, self.connection)
        finally:
            with self._lock:
                self._in_use = False
            if self._abandoned:
                self.connection.close()

    async def begin(self) -> None:
        self.connection.row_factory = tuple_row
        self._block = self.connection.transaction()
        await self._in_thread(self._block.__enter__)

    async def work(self, arguments: dict[str, str]) -> list[Assignment]:
        return list(await self._in_thread(self._work, arguments))

    async def end(self) -> None:
        await self._in_thread(self._block.__exit__, None, None, None)

    async def reset(self) -> None:
        await self._in_thread(self.connection.execute, query("discard"))

    async def close(self) -> None:
        with self._lock:
            self._abandoned = self._in_use
        if self._abandoned:
            with suppress(psycopg.Error):
                await self._in_thread(self.connection.cancel_safe)
        else:
            self.connection.close()

    def _work(self, arguments: dict[str, str]) -> list[Assignment]:
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(query("work"), arguments).fetchall()
            return [Assignment._make(row) for row in rows]


def is_lost(connection: Any) -> bool:
    """Whether the connection is gone, and the transaction with it."""
    return bool(connection.closed or connection.broken)


class Transactions:
    """The connections of transactional handlers: at most `most` at once, opened when they are needed."""

    def __init__(
        self, worker: str, connect: Connect, connect_sync: ConnectSync, in_thread: InThread, most: int = 10
    ) -> None:
        self._worker = worker
        self._connect = connect
        self._connect_sync = connect_sync
        self._in_thread = in_thread
        self._slots = asyncio.Semaphore(most)
        self._idle: dict[bool, list[Transaction]] = {True: [], False: []}

    @asynccontextmanager
    async def begin(self, is_async: bool, wanted: Callable[[], bool]) -> AsyncIterator[Transaction]:
        """A transaction for the length of the block; what `commit` did not commit is rolled back. Raises
        LaneLost when nobody wants it any more before the database can be reached.
        """
        async with self._slots:
            transaction = await self._begun(is_async, wanted)
            clean = False
            try:
                yield transaction
                with suppress(psycopg.Error):
                    await transaction.reset()
                    clean = True
            finally:
                if clean:
                    self._idle[is_async].append(transaction)
                else:
                    await transaction.close()

    async def commit(self, transaction: Transaction, result: Result, drain: bool) -> Committed:
        """Report the result and commit. Raises Refused, Unsure, StepError."""
        match transaction.connection.info.transaction_status:
            case TransactionStatus.INERROR:
                message = "a statement of the handler failed and it went on: nothing was kept"
                raise StepError("transaction_failed", message, retryable=False)
            case TransactionStatus.IDLE:
                message = "the handler ended the transaction in which its step was to commit"
                raise StepError("transaction_ended", message, retryable=False)
        want = '{"drain": true}' if drain else "{}"
        arguments = {"worker": self._worker, "results": as_array([result.text]), "want": want}
        code = "result_rejected"
        try:
            rows = await transaction.work(arguments)
            if any(row.outcome == "refused" for row in rows):
                raise Refused
            code = "transaction_failed"
            await transaction.end()
        except psycopg.Error as error:
            if is_lost(transaction.connection) or (is_connection_error(error) and error.sqlstate != "25006"):
                raise Unsure(first_line(error)) from error
            raise StepError(code, first_line(error), retryable=is_transient(error)) from error
        return Committed(result, rows)

    async def close(self) -> None:
        for idle in self._idle.values():
            while idle:
                await idle.pop().close()

    async def _begun(self, is_async: bool, wanted: Callable[[], bool]) -> Transaction:
        backoff = Backoff(first=0.1, longest=2.0)
        idle = self._idle[is_async]
        while wanted():
            transaction = idle.pop() if idle else None
            try:
                transaction = transaction or await self._opened(is_async)
                await transaction.begin()
                return transaction
            except (psycopg.Error, OSError) as error:
                if transaction is not None:
                    await transaction.close()
                delay = backoff.next()
                _log.warning("transaction.retry", error=first_line(error), seconds=round(delay, 2))
                await asyncio.sleep(delay)
        raise LaneLost

    async def _opened(self, is_async: bool) -> Transaction:
        if is_async:
            return AsyncTransaction(await self._connect("transaction"))
        connection = await self._in_thread(self._connect_sync, "transaction")
        return SyncTransaction(connection, self._in_thread)
