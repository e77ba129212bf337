"""Spans as plain records: what they are called, which ids and attributes they have. No OpenTelemetry here.

Ids follow from what a span is about, so that any process can name a parent that was not sent yet, and a span
that is sent twice is the same span.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..logs import masked

if TYPE_CHECKING:
    from ..models import JSON

Attributes = dict[str, str | int | bool]
Event = tuple[int, str, Attributes]
"""When (ns since 1970), what, and its facts."""

_LONGEST = 1000
_MOST_EVENTS = 100


def run_span_id(run_id: str, reopened_at: int | None = None) -> str:
    """Id of the span of a run; `reopened_at` (epoch µs) names what happened since a resume or repair."""
    return _span_id("run", run_id, "" if reopened_at is None else str(reopened_at))


def attempt_span_id(run_id: str, idx: int, task_key: str, attempt: int) -> str:
    """Id of the span of an attempt of a step (`task_key` empty) or of a task."""
    return _span_id("attempt", run_id, str(idx), task_key, str(attempt))


def _span_id(*words: str) -> str:
    return sha256("\0".join(words).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Span:
    """A span that is over. Times are ns since 1970, ids hex; `error` is the text of status ERROR.

    `link` names a span of another trace (trace id, span id, attributes).
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start: int
    end: int
    attributes: Attributes
    error: str | None = None
    is_message: bool = False
    events: tuple[Event, ...] = ()
    link: tuple[str, str, Attributes] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The attempt that a span is about. `worker` None: the engine executed it, no message was processed."""

    run_id: str
    step_id: str
    idx: int
    task_key: str
    attempt: int
    queue: str
    partition: str | None
    worker: str | None
    msg_id: int | None

    @property
    def name(self) -> str:
        return f"{self.step_id} task" if self.task_key else self.step_id

    def attributes(self) -> Attributes:
        """The names of the field manual, and those of the messaging conventions."""
        found: Attributes = {
            "workflowID": self.run_id,
            "step.functionID": self.step_id,
            "step.index": self.idx,
            "attempt": self.attempt,
        }
        if self.task_key:
            found["taskKey"] = self.task_key
        if self.worker is not None:
            found |= {
                "messaging.system": "pgmq",
                "messaging.destination.name": self.queue,
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.client.id": self.worker,
            }
            if self.msg_id is not None:
                found["messaging.message.id"] = str(self.msg_id)
            if self.partition is not None:
                found["messaging.destination.partition.id"] = self.partition
        return found


@dataclass(slots=True)
class StepSpan:
    """The span of an attempt that is under way."""

    step: Step
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    events: list[Event] = field(default_factory=list)

    def checkpoint(self, seq: int, kind: str, name: str) -> None:
        """A checkpoint was committed."""
        if len(self.events) < _MOST_EVENTS:
            self.events.append((time.time_ns(), "checkpoint", {"seq": seq, "kind": kind, "name": name}))

    def ended(self, report: dict[str, JSON]) -> Span | None:
        """The span, once the report is committed; adds `spanId` to the report.

        None for an attempt that goes on without us: one that waits goes on later, one with tasks ends with
        the last of them. Its span comes with the end of its run.
        """
        if report["status"] == "WAITING":
            return None
        report["spanId"] = self.span_id
        if report.get("tasks"):
            return None
        attributes = self.step.attributes() | {"step.status": report["status"]}
        return Span(
            name=self.step.name,
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_id=self.parent_id,
            start=self.start,
            end=max(self.start, time.time_ns()),
            attributes=attributes,
            error=told(report.get("error"), attributes),
            is_message=True,
            events=tuple(self.events),
        )


def told(error: Any, attributes: Attributes) -> str | None:
    """`code: message` of an error {code, message}, cut and without credentials; its code goes to the
    attributes. None for no error.
    """
    if not error:
        return None
    code = str(error["code"])
    attributes["error.type"] = code
    return str(masked("", f"{code}: {error.get('message') or ''}"[:_LONGEST]))
