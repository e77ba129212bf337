"""What traces the steps of a runner: a span begins with an attempt and is sent once its result is committed.

While an attempt runs its span is the current one: of our logs, and of OpenTelemetry, so that a handler's own
spans become its children.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from opentelemetry.context import attach

from .. import logs
from ..connections import ConnectSync
from .ends import Ends, parent_span_id
from .exporter import Exporter
from .otlp import Collector, current, offer
from .spans import Step, StepSpan, attempt_span_id

if TYPE_CHECKING:
    from ..lanes import Lane, Result


_PATIENCE = 5.0


class Tracer:
    """Of one runner. `begin` and `settled` are on the hot path and never wait."""

    def __init__(self, endpoint: str | None, worker: str, version: str) -> None:
        self._worker = worker
        collector = Collector(endpoint, worker, version)
        self.exporter = Exporter(collector.send, collector.stop)
        offer(collector.provider(self.exporter.put))

    def open(self, connect: ConnectSync) -> None:
        """Tell the database that somebody collects, and begin."""
        ends = Ends(connect)
        self.exporter.start(ends)
        ends.asked.wait(_PATIENCE)

    def close(self, seconds: float) -> None:
        """Send what is left, for at most so many seconds."""
        self.exporter.close(seconds)

    def begin(self, lane: Lane) -> Context:
        """The lane's attempt begins: its span, and the context to run it in."""
        attempt, known = lane.attempt, lane.context
        run_id, idx, task_key = attempt.run_id, attempt.idx, attempt.task_key
        started_at = known.get("startedAt")
        lane.span = StepSpan(
            Step(
                run_id,
                attempt.step_id,
                idx,
                task_key,
                attempt.attempt,
                attempt.queue_name,
                known.get("queuePartitionKey"),
                self._worker,
                attempt.msg_id,
            ),
            trace_id=known["traceId"],
            span_id=attempt_span_id(run_id, idx, task_key, attempt.attempt),
            parent_id=parent_span_id(run_id, idx, known.get("parent")),
            start=time.time_ns() if started_at is None else started_at * 1000,
        )
        context = copy_context()
        context.run(_enter, lane.span)
        return context

    def settled(self, results: Sequence[Result], refused: Iterable[Lane]) -> None:
        """The database has answered: what is committed is sent."""
        gone = {id(lane) for lane in refused}
        for result in results:
            if result.span is not None and (result.is_kept or id(result.lane) not in gone):
                self.exporter.put(result.span)


def _enter(span: StepSpan) -> None:
    logs.span.set((span.trace_id, span.span_id))
    attach(current(span.span_id, span.trace_id))
