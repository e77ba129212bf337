"""Executing one attempt: find the handler, run it under its timeout, turn what it did into a result.

Async handlers run on the loop, sync ones in a thread pool. Whatever a handler does, exactly one result comes
out.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

import psycopg

from .calls import Calls
from .checkpoints import InThread, LaneLost, Ledger, OnLoop, Refusing, Waiting
from .config import Config
from .errors import first_line
from .lanes import Call, Desk, Lane
from .logs import Log
from .models import JSON, Assignment, Checkpoints, StepContext, StepError
from .registry import Handler, Registry
from .results import encoded, failure, result_of, success
from .threads import Threads, wait_on_loop
from .transactions import Committed, Refused, Transactions, Unsure, is_lost

_log = Log(__name__)
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Attempts:
    """Runs the attempts of a runner and posts their results on the desk."""

    def __init__(
        self,
        desk: Desk,
        registry: Registry,
        config: Config,
        calls: Calls,
        transactions: Transactions,
        threads: Threads,
    ) -> None:
        self._desk = desk
        self._registry = registry
        self._config = config
        self._calls = calls
        self._transactions = transactions
        self._threads = threads
        # Twice the slots: a thread that outlives its timeout must not starve the attempts that follow it.
        self._pool = ThreadPoolExecutor(2 * sum(desk.limits.values()), thread_name_prefix="sisu-handler")
        self.count = 0

    def start(self, lane: Lane) -> None:
        """Begin the lane's current attempt; an async handler without an await also ends here."""
        lane.running = True
        lane.began = time.monotonic()
        if lane.fault is not None:
            _log.warning("context.unreadable", run=lane.attempt.run_id, step=lane.attempt.step_id)
            lane.span = None
            self._end(lane, failure(lane.fault))
            return
        handler = self._registry.get(lane.attempt.handler)
        context = None if self._desk.tracer is None else self._desk.tracer.begin(lane)
        if handler is None or handler.awaits:
            lane.task = asyncio.get_running_loop().create_task(self._run(lane, handler), context=context)
            return
        lane.task = None
        if context is None:
            self._run_at_once(lane, handler)
        else:
            context.run(self._run_at_once, lane, handler)

    def stop(self, lane: Lane) -> None:
        """The lane is lost: tell its handler, and drop whatever it still produces."""
        lane.doomed = True
        lane.cancelled.set()
        if lane.task is not None:
            lane.task.cancel()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run_at_once(self, lane: Lane, handler: Handler) -> None:
        """Nothing can suspend the handler, so it needs no task."""
        outcome: dict[str, JSON] | None
        try:
            handler.function(self._context(lane, lane.attempt, _NOT_AWAITED)).send(None)
        except StopIteration as returned:
            outcome = success(returned.value)
        except BaseException as error:
            if _is_ours(error, lane):
                raise
            outcome = _ended_by(error, lane.attempt)
        else:
            raise AssertionError(f"{handler.name} waits, but has no await")
        self._end(lane, outcome)

    async def _run(self, lane: Lane, handler: Handler | None) -> None:
        outcome: dict[str, JSON] | Committed | None
        try:
            outcome = await self._outcome(lane, lane.attempt, handler)
        except asyncio.CancelledError:
            if not lane.doomed:
                raise
            outcome = None
        self._end(lane, outcome)
        if isinstance(outcome, Committed):
            await self._go_on(outcome)

    def _end(self, lane: Lane, outcome: dict[str, JSON] | Committed | None) -> None:
        lane.running = False
        self.count += 1
        self._desk.counters.step_ended(lane.attempt.handler, _status(outcome), time.monotonic() - lane.began)
        if isinstance(outcome, Committed):
            return
        if lane.doomed or outcome is None:
            self._desk.drop(lane)
        else:
            self._desk.post(encoded(lane, outcome))

    async def _outcome(
        self, lane: Lane, attempt: Assignment, handler: Handler | None
    ) -> dict[str, JSON] | Committed | None:
        """What the attempt comes to: its report, a result that is committed already, or None when the lane is
        not ours any more.
        """
        if handler is None:
            _log.warning("handler.missing", handler=attempt.handler, run=attempt.run_id, step=attempt.step_id)
            message = f"no handler named {attempt.handler} is registered in this runner"
            return failure(StepError("handler_not_found", message, retryable=False))
        outcome: dict[str, JSON] | Committed | None = None
        raised: BaseException | None = None
        ledger: Ledger | None = None
        try:
            if handler.transactional:
                outcome = await self._in_transaction(lane, attempt, handler)
            else:
                ledger, checkpoints = self._checkpoints(lane, attempt, handler)
                ctx = self._context(lane, attempt, checkpoints)
                outcome = success(await self._value(lane, attempt, handler, partial(handler.function, ctx)))
        except GeneratorExit:
            raise
        except BaseException as error:
            if _is_ours(error, lane):
                raise
            raised = error
        if ledger is not None:
            ledger.is_open = False
            raised = ledger.ended(raised)
        return outcome if raised is None else _ended_by(raised, attempt)

    async def _value(
        self, lane: Lane, attempt: Assignment, handler: Handler, function: Callable[[], Any]
    ) -> Any:
        """What the handler returns. Raises StepError `timeout`, or what the handler raises."""
        seconds = _seconds(attempt)
        if not handler.is_async:
            value = await self._in_thread(function, lane, seconds)
        elif seconds is None:
            value = await function()
        else:
            value = await _on_loop(function, lane, seconds)
        if not handler.is_async and inspect.isawaitable(value):
            raise StepError(
                "handler_error", "a sync handler returned an awaitable: declare it with async def"
            )
        return value

    async def _in_thread(self, function: Callable[[], Any], lane: Lane, seconds: float | None) -> Any:
        call = partial(copy_context().run, function)
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        try:
            done, _ = await asyncio.wait((future,), timeout=seconds)
        except asyncio.CancelledError:
            self._let_linger(future, lane.attempt.queue_name)
            raise
        if done:
            return future.result()
        lane.cancelled.set()
        self._let_linger(future, lane.attempt.queue_name)
        raise _timeout(lane, seconds)

    def _let_linger(self, future: asyncio.Future[Any], queue: str) -> None:
        def ended(gone: asyncio.Future[Any]) -> None:
            self._desk.linger(queue, -1)
            if not gone.cancelled():
                gone.exception()

        self._desk.linger(queue, 1)
        future.add_done_callback(ended)

    def _checkpoints(self, lane: Lane, attempt: Assignment, handler: Handler) -> tuple[Ledger, Checkpoints]:
        loop = asyncio.get_running_loop()
        ledger = Ledger(
            attempt.step_id,
            lane.context.get("checkpoints") or (),
            cancelled=lane.cancelled.is_set,
            lost=lambda: lane.doomed,
            main=asyncio.current_task() if handler.is_async else None,
            kept=lane.span.checkpoint if lane.span is not None else None,
        )
        lease = _encode(lane.lease())

        async def commit(entry: str) -> JSON:
            try:
                return await self._calls.checkpoint(lease, entry, ledger.is_wanted)
            except LaneLost:
                if ledger.is_open:
                    _log.warning("lane.lost", run=attempt.run_id, step=attempt.step_id, task=attempt.task_key)
                    self.stop(lane)
                raise

        if handler.is_async:
            return ledger, OnLoop(ledger, commit, self._threads)
        return ledger, InThread(ledger, lambda entry: wait_on_loop(loop, partial(commit, entry)))

    async def _in_transaction(self, lane: Lane, attempt: Assignment, handler: Handler) -> Committed | None:
        facts = {"run": attempt.run_id, "step": attempt.step_id, "task": attempt.task_key}
        try:
            async with self._transactions.begin(handler.is_async, lambda: not lane.doomed) as transaction:
                function = transaction.bound(handler.function, self._context(lane, attempt, _TRANSACTIONAL))
                try:
                    value = await self._value(lane, attempt, handler, function)
                    result = result_of(lane, success(value))
                except Exception as error:
                    if not is_lost(transaction.connection):
                        raise
                    # as when a worker is lost: not at once, and not for ever
                    _log.warning("transaction.lost", error=first_line(error), **facts)
                    return None
                lane.running = False
                return await self._transactions.commit(transaction, result, drain=not self._desk.keeping)
        except Refused:
            _log.info("lane.refused", **facts)
        except Unsure as error:
            # If it was committed, the lease is not that of this attempt any more, and nothing is given back.
            _log.warning("transaction.unsure", error=str(error), **facts)
            await self._give_back(lane)
        return None

    async def _go_on(self, committed: Committed) -> None:
        """Take what the commit of a transactional handler was answered."""
        desk = self._desk
        desk.in_flight += 1
        start, _ = desk.settle(Call([committed.result]), committed.rows)
        for lane in start:
            if desk.keeping:
                self.start(lane)
            else:  # it came although we drain by now
                await self._give_back(lane)
                desk.drop(lane)

    async def _give_back(self, lane: Lane) -> None:
        """If that fails, the lease ends by itself."""
        try:
            await self._calls.release(_encode([lane.lease()]), lambda: not lane.doomed)
        except (psycopg.Error, LaneLost) as error:
            _log.warning("lane.left", error=first_line(error), run=lane.attempt.run_id)

    def _context(self, lane: Lane, attempt: Assignment, checkpoints: Checkpoints) -> StepContext:
        known = lane.context
        seconds = _seconds(attempt)
        # in the order of its fields: by name, making one costs more than twice as much
        return StepContext(
            attempt.run_id,
            attempt.step_id,
            attempt.idx,
            attempt.task_key,
            attempt.attempt,
            attempt.handler,
            known.get("intent") or {},
            lane.recipe,
            known.get("outputs") or {},
            known.get("gates") or {},
            known.get("task"),
            known.get("ocMode") or "",
            known.get("sbxMode") or "",
            known.get("traceId"),
            self._config,
            lane.cancelled.is_set,
            None if seconds is None else time.monotonic() + seconds,
            checkpoints,
        )


_NOT_AWAITED = Refusing("no_checkpoints", "an async handler has to await its checkpoints")
_TRANSACTIONAL = Refusing(
    "transactional_handler", "the SQL of a transactional handler and its step commit together, and only once"
)


async def _on_loop(function: Callable[[], Any], lane: Lane, seconds: float) -> Any:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await function()
    except TimeoutError:
        if limit.expired():
            lane.cancelled.set()
            raise _timeout(lane, seconds) from None
        raise


def _is_ours(error: BaseException, lane: Lane) -> bool:
    """Whether it is us who cancelled the attempt's task, and not a task of the handler that let it out."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    return lane.doomed or ((task := asyncio.current_task()) is not None and task.cancelling() > 0)


def _ended_by(error: BaseException, attempt: Assignment) -> dict[str, JSON] | None:
    """The report of an attempt whose handler raised `error`."""
    if isinstance(error, Waiting):
        return {"status": "WAITING", "wait": error.wait}
    if isinstance(error, LaneLost):
        return None
    if isinstance(error, StepError):
        return failure(error)
    _log.error("handler.failed", error, handler=attempt.handler, run=attempt.run_id, step=attempt.step_id)
    return failure(StepError("handler_error", f"{type(error).__name__}: {error}"))


def _status(outcome: dict[str, JSON] | Committed | None) -> str:
    """What an attempt came to, for the counters: a status of its report, or LOST."""
    if isinstance(outcome, Committed):
        return "SUCCESS"
    return "LOST" if outcome is None else str(outcome["status"])


def _seconds(attempt: Assignment) -> float | None:
    return attempt.timeout_ms / 1000 if attempt.timeout_ms is not None else None


def _timeout(lane: Lane, seconds: float | None) -> StepError:
    return StepError("timeout", f"{lane.attempt.step_id} did not end within {seconds:g} s")
