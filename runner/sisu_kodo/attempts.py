"""Executing one attempt: find the handler, run it under its timeout, turn what it did into a result.

Async handlers run on the loop, sync ones in a thread pool. Whatever a handler does, exactly one result comes
out.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from .config import Config
from .lanes import Desk, Lane, Result
from .logs import Log
from .models import JSON, Artifact, Assignment, StepContext, StepError, StepResult
from .registry import Handler, Registry

_log = Log(__name__)
_LONGEST_MESSAGE = 10_000
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Attempts:
    """Runs the attempts of a runner and posts their results on the desk."""

    def __init__(self, desk: Desk, registry: Registry, config: Config) -> None:
        self._desk = desk
        self._registry = registry
        self._config = config
        # Twice the slots: a thread that outlives its timeout must not starve the attempts that follow it.
        self._pool = ThreadPoolExecutor(2 * sum(desk.limits.values()), thread_name_prefix="sisu-handler")
        self.count = 0

    def start(self, lane: Lane) -> None:
        """Begin the lane's current attempt; an async handler without an await also ends here."""
        lane.running = True
        lane.began = time.monotonic()
        handler = self._registry.get(lane.attempt.handler)
        if handler is not None and handler.awaits:
            lane.task = asyncio.get_running_loop().create_task(self._run(lane, handler))
            return
        lane.task = None
        with suppress(StopIteration):
            self._run(lane, handler).send(None)

    def stop(self, lane: Lane) -> None:
        """The lane is lost: tell its handler, and drop whatever it still produces."""
        lane.doomed = True
        lane.cancelled.set()
        if lane.task is not None:
            lane.task.cancel()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, lane: Lane, handler: Handler | None) -> None:
        attempt = lane.attempt
        report: dict[str, JSON]
        try:
            report = await self._report(lane, attempt, handler)
        except asyncio.CancelledError:
            if not lane.doomed:
                raise
            report = {}
        lane.running = False
        self.count += 1
        self._desk.counters.step_ended(
            attempt.handler, str(report.get("status", "DROPPED")), time.monotonic() - lane.began
        )
        if lane.doomed:
            self._desk.drop(lane)
        else:
            self._desk.post(encoded(lane, report))

    async def _report(self, lane: Lane, attempt: Assignment, handler: Handler | None) -> dict[str, JSON]:
        if handler is None:
            _log.warning("handler.missing", handler=attempt.handler, run=attempt.run_id, step=attempt.step_id)
            message = f"no handler named {attempt.handler} is registered in this runner"
            return failure(StepError("handler_not_found", message, retryable=False))
        seconds = attempt.timeout_ms / 1000 if attempt.timeout_ms is not None else None
        try:
            ctx = self._context(lane, attempt, seconds)
            if handler.is_async:
                value = await self._on_loop(handler, ctx, lane, seconds)
            else:
                value = await self._in_thread(handler, ctx, lane, seconds)
            if inspect.isawaitable(value):
                raise StepError(
                    "handler_error", "a sync handler returned an awaitable: declare it with async def"
                )
            return success(value)
        except StepError as error:
            return failure(error)
        except asyncio.CancelledError as error:
            # ours, or one that the handler let out of a task of its own
            if lane.doomed or ((task := asyncio.current_task()) is not None and task.cancelling()):
                raise
            return failure(StepError("handler_error", f"{type(error).__name__}: {error}"))
        except (Exception, SystemExit) as error:
            _log.error(
                "handler.failed", error, handler=attempt.handler, run=attempt.run_id, step=attempt.step_id
            )
            return failure(StepError("handler_error", f"{type(error).__name__}: {error}"))

    async def _on_loop(self, handler: Handler, ctx: StepContext, lane: Lane, seconds: float | None) -> Any:
        if seconds is None or not handler.awaits:
            return await handler.function(ctx)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await handler.function(ctx)
        except TimeoutError:
            if limit.expired():
                lane.cancelled.set()
                raise _timeout(lane, seconds) from None
            raise

    async def _in_thread(self, handler: Handler, ctx: StepContext, lane: Lane, seconds: float | None) -> Any:
        future = asyncio.get_running_loop().run_in_executor(self._pool, handler.function, ctx)
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

    def _context(self, lane: Lane, attempt: Assignment, seconds: float | None) -> StepContext:
        known = lane.context
        return StepContext(
            run_id=attempt.run_id,
            step_id=attempt.step_id,
            idx=attempt.idx,
            task_key=attempt.task_key,
            attempt=attempt.attempt,
            handler=attempt.handler,
            intent=known.get("intent") or {},
            recipe=lane.recipe,
            outputs=known.get("outputs") or {},
            gates=known.get("gates") or {},
            task=known.get("task"),
            oc_mode=known.get("ocMode") or "",
            sbx_mode=known.get("sbxMode") or "",
            trace_id=known.get("traceId"),
            config=self._config,
            cancelled=lane.cancelled.is_set,
            deadline=None if seconds is None else time.monotonic() + seconds,
        )


def success(value: Any) -> dict[str, JSON]:
    """The report of an attempt that returned `value`."""
    if not isinstance(value, StepResult):
        return {"status": "SUCCESS", "output": value}
    report: dict[str, JSON] = {"status": "SUCCESS", "output": value.output}
    if value.artifacts:
        report["artifacts"] = _artifacts(value.artifacts)
    if value.tasks is not None:
        report["tasks"] = list(value.tasks)
    if value.receipt:
        report["receipt"] = True
    return report


def failure(error: StepError) -> dict[str, JSON]:
    """The report of an attempt that ended in ERROR."""
    facts: dict[str, JSON] = {"code": error.code, "message": str(error.message)[:_LONGEST_MESSAGE]}
    if error.retryable is not None:
        facts["retryable"] = error.retryable
    if error.details is not None:
        facts["details"] = error.details
    report: dict[str, JSON] = {"status": "ERROR", "error": facts}
    if error.artifacts:
        report["artifacts"] = _artifacts(error.artifacts)
    return report


def encoded(lane: Lane, report: dict[str, JSON]) -> Result:
    """The result as JSON text. What is not JSON becomes an ERROR `result_rejected` that says why."""
    try:
        return Result(lane, _encode(identity(lane.attempt) | report), report.get("output"))
    except (TypeError, ValueError, RecursionError) as error:
        return rejected(lane, f"the handler's result is not JSON: {error}")


def rejected(lane: Lane, message: str) -> Result:
    """The result that stands in for one that could not be stored."""
    facts = failure(StepError("result_rejected", message, retryable=False))
    result = Result(lane, _encode(identity(lane.attempt) | facts))
    result.replaced = True
    return result


def identity(attempt: Assignment) -> dict[str, JSON]:
    """What names an attempt, and proves that its lane is still held."""
    return {
        "runId": attempt.run_id,
        "idx": attempt.idx,
        "taskKey": attempt.task_key,
        "attempt": attempt.attempt,
        "queue": attempt.queue_name,
        "msgId": attempt.msg_id,
        "readCt": attempt.read_ct,
    }


def _artifacts(artifacts: Sequence[Artifact]) -> list[JSON]:
    found: list[JSON] = []
    for artifact in artifacts:
        facts: dict[str, JSON] = {
            "kind": artifact.kind,
            "name": artifact.name,
            "mediaType": artifact.media_type,
        }
        if artifact.body is None:
            facts["inline"] = artifact.inline
        else:
            facts["body"] = base64.b64encode(artifact.body).decode("ascii")
        found.append(facts)
    return found


def _timeout(lane: Lane, seconds: float | None) -> StepError:
    return StepError("timeout", f"{lane.attempt.step_id} did not end within {seconds:g} s")
