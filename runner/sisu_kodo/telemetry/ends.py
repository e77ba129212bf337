"""What `app.take_ends` tells of a run that ended, as spans: the run itself, and the attempts that no runner
has reported.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from ..connections import ConnectSync
from ..errors import first_line, is_connection_error
from ..logs import Log
from ..queries import query
from .spans import Attributes, Event, Span, Step, attempt_span_id, run_span_id, told

_log = Log(__name__)
_MOST = 200
_QUIET_SECONDS = 2.0
"""After an error of the database."""


class Ends:
    """Takes ends of runs from the database, on a connection of its own. Used by one thread."""

    def __init__(self, connect: ConnectSync) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._quiet_until = 0.0
        self._is_told = False
        self.asked = threading.Event()
        """Set once the database knows that somebody collects, or cannot be reached."""

    def take(self) -> tuple[list[int], list[Span], bool]:
        """Ids to forget once the spans are sent, the spans, and whether there may be more. Nothing when the
        database does not answer.
        """
        rows = self._ask("take_ends", {"n": _MOST})
        self.asked.set()
        spans = [span for _, trace in rows for span in spans_of(trace)]
        return [end_id for end_id, _ in rows], spans, len(rows) == _MOST

    def forget(self, end_ids: list[int]) -> None:
        """If that fails they come again, and are the same spans."""
        if end_ids:
            self._ask("forget_ends", {"end_ids": end_ids})

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, statement: str, arguments: dict[str, Any]) -> list[Any]:
        if time.monotonic() < self._quiet_until:
            return []
        try:
            if self._connection is None:
                self._connection = self._connect("traces")
            return self._connection.execute(query(statement), arguments).fetchall()
        except (psycopg.Error, OSError) as error:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            self.close()
            if not self._is_told and not is_connection_error(error):  # those are told by everybody else
                self._is_told = True
                _log.warning("telemetry.ends", error=first_line(error))
            return []


def spans_of(trace: dict[str, Any]) -> list[Span]:
    """The spans of one row of `app.take_ends`."""
    return [_run(trace), *(_attempt(trace, each) for each in trace["attempts"] or ())]


def _run(trace: dict[str, Any]) -> Span:
    run_id, reopened_at, source = trace["runId"], trace["reopenedAt"], trace["source"]
    attributes: Attributes = {
        "workflowID": run_id,
        "workflowName": trace["recipe"],
        "recipe.version": trace["version"],
        "run.status": trace["status"],
    }
    again = "" if reopened_at is None else " (again)"
    return Span(
        name=f"run {trace['recipe']}{again}",
        trace_id=trace["traceId"],
        span_id=run_span_id(run_id, reopened_at),
        parent_id=None if reopened_at is None else run_span_id(run_id),
        start=trace["startedAt"] * 1000,
        end=trace["endedAt"] * 1000,
        attributes=attributes,
        error=told(trace["error"], attributes),
        events=tuple(event for gate in trace["gates"] or () for event in _gate(gate)),
        link=(source["traceId"], run_span_id(source["runId"]), {"workflowID": source["runId"]})
        if source
        else None,
    )


def _gate(gate: dict[str, Any]) -> list[Event]:
    events: list[Event] = [(gate["openedAt"] * 1000, "gate.opened", {"gateKey": gate["gateKey"]})]
    if gate["settledAt"] is not None:
        facts: Attributes = {"gateKey": gate["gateKey"]}
        events.append((gate["settledAt"] * 1000, f"gate.{gate['status'].lower()}", facts))
    return events


def _attempt(trace: dict[str, Any], attempt: dict[str, Any]) -> Span:
    run_id = trace["runId"]
    step = Step(
        run_id=run_id,
        step_id=attempt["stepId"],
        idx=attempt["idx"],
        task_key=attempt["taskKey"],
        attempt=attempt["attempt"],
        queue=attempt["queue"],
        partition=attempt["partition"],
        worker=attempt["worker"],
        msg_id=attempt["msgId"],
    )
    attributes = step.attributes() | {"step.status": attempt["status"]}
    if attempt["skipped"]:
        attributes["step.skipped"] = True
    return Span(
        name=step.name,
        trace_id=trace["traceId"],
        span_id=attempt["spanId"] or attempt_span_id(run_id, step.idx, step.task_key, step.attempt),
        parent_id=parent_span_id(run_id, step.idx, attempt["parent"]),
        start=attempt["startedAt"] * 1000,
        end=attempt["endedAt"] * 1000,
        attributes=attributes,
        error=told(attempt["error"], attributes),
        is_message=step.worker is not None,
    )


def parent_span_id(run_id: str, idx: int, parent: dict[str, Any] | None) -> str:
    """Of a task: the span of the step attempt {attempt, spanId?} that made it. Of a step: that of its run."""
    if parent is None:
        return run_span_id(run_id)
    return str(parent.get("spanId") or attempt_span_id(run_id, idx, "", parent["attempt"]))
