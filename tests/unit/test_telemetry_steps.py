"""What a runner tells of its attempts, and what the database tells of the others."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from opentelemetry import trace

from sisu_kodo import logs
from sisu_kodo.lanes import Call, Desk, Lane, Result
from sisu_kodo.models import Assignment, StepError
from sisu_kodo.results import encoded, failure, result_of, success
from sisu_kodo.telemetry.ends import Ends, spans_of
from sisu_kodo.telemetry.spans import Span, attempt_span_id, run_span_id
from sisu_kodo.telemetry.tracer import Tracer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "," + attempt_span_id("ih_1", 0, "", 1) + ","
"""A field of a result's row."""


def _assignment(outcome: str = "assigned", idx: int = 0, task_key: str = "", **context: Any) -> Assignment:
    known = json.dumps({"traceId": TRACE, **context}) if outcome == "assigned" else None
    return Assignment(outcome, "ih_1", f"S{idx}", idx, task_key, 1, "intentQ", 7, 0, "h", None, known, None)


class Tracing:
    """A tracer whose exporter only collects, with a desk and one lane."""

    def __init__(self, **context: Any) -> None:
        self.tracer = Tracer("http://127.0.0.1:1/v1/traces", "w", "1")
        self.sent: list[Span] = []
        self.tracer.exporter.put = self.sent.append  # type: ignore[method-assign,assignment]
        self.desk = Desk({"intentQ": 2}, 1)
        self.desk.tracer = self.tracer
        self.lane = Lane(_assignment(**context))
        self.desk.lanes[self.lane.key] = self.lane
        self.context = self.tracer.begin(self.lane)

    def answer(self, result: Result, *rows: Assignment) -> None:
        self.desk.in_flight += 1
        self.desk.settle(Call([result]), rows)


def test_a_span_is_sent_when_its_result_is_committed() -> None:
    one = Tracing()
    result = encoded(one.lane, success({"secret": 1}))
    assert one.sent == [] and SPAN in result.text
    one.answer(result, _assignment("continued", 1))
    one.tracer.begin(one.lane)
    one.answer(encoded(one.lane, success(None)))
    assert [(span.name, span.parent_id) for span in one.sent] == [
        ("S0", run_span_id("ih_1")),
        ("S1", run_span_id("ih_1")),
    ]
    assert "secret" not in repr(one.sent)


def test_what_was_refused_is_not_sent_unless_it_had_been_committed() -> None:
    one = Tracing()
    one.answer(encoded(one.lane, success(None)), _assignment("refused")._replace(reason="stale_lease"))
    assert one.sent == []
    two = Tracing()
    result = encoded(two.lane, success(None))
    two.answer(result, _assignment("refused")._replace(reason="already_committed"))
    assert len(two.sent) == 1, "the answer to the first was lost"


@pytest.mark.parametrize(
    ("report", "has_id"),
    [
        ({"status": "WAITING", "wait": {"seq": 0, "kind": "sleep", "name": "n", "ms": 1}}, False),
        ({"status": "SUCCESS", "tasks": [1]}, True),
    ],
)
def test_an_attempt_that_goes_on_without_us_is_not_over(report: dict[str, Any], has_id: bool) -> None:
    one = Tracing()
    result = result_of(one.lane, report)
    one.answer(result)
    assert one.sent == [] and (SPAN in result.text) == has_id


def test_a_result_that_could_not_be_stored_is_told_by_the_database() -> None:
    one = Tracing()
    result = encoded(one.lane, success(object()))
    assert result.replaced and SPAN not in result.text
    one.answer(result)
    assert one.sent == []


def test_a_failure_has_code_and_message_without_secrets() -> None:
    one = Tracing()
    error = StepError("infra", "no postgresql://ann:hunter2@db " + "x" * 5000, details={"secret": 1})
    one.answer(encoded(one.lane, failure(error)))
    (span,) = one.sent
    assert span.error is not None and span.error.startswith("infra: no postgresql://ann:***@db")
    assert len(span.error) <= 1000 and span.attributes["error.type"] == "infra"
    assert "secret" not in repr(span)


def test_a_task_is_a_child_of_the_step_that_made_it() -> None:
    named = Tracing(task_key="k", parent={"attempt": 2, "spanId": "00000000000000aa"})
    unnamed = Tracing(task_key="k", parent={"attempt": 2})
    spans = [one.lane.span for one in (named, unnamed)]
    assert [span and span.parent_id for span in spans] == [
        "00000000000000aa",
        attempt_span_id("ih_1", 0, "", 2),
    ]


def test_an_attempt_that_was_parked_began_then_and_the_next_one_does_not() -> None:
    one = Tracing(startedAt=5)
    assert one.lane.span is not None and one.lane.span.start == 5000
    one.lane.advance(_assignment("continued", 1), None)
    one.tracer.begin(one.lane)
    assert one.lane.span.start > 5000


def test_checkpoints_are_events_but_not_without_end() -> None:
    one = Tracing()
    assert one.lane.span is not None
    for n in range(1000):
        one.lane.span.checkpoint(n, "step", f"n{n}")
    one.answer(encoded(one.lane, success(None)))
    assert [facts["seq"] for _, _, facts in one.sent[0].events] == list(range(100))


def test_within_an_attempt_its_span_is_the_current_one() -> None:
    one = Tracing()
    assert one.lane.span is not None
    ids = (TRACE, one.lane.span.span_id)
    assert one.context.run(logs.span.get) == ids
    seen = one.context.run(trace.get_current_span).get_span_context()
    assert (f"{seen.trace_id:032x}", f"{seen.span_id:016x}") == ids
    assert logs.span.get() is None and not trace.get_current_span().get_span_context().is_valid


def test_nothing_is_claimed_before_the_database_knows_that_somebody_collects() -> None:
    one = Tracing()
    asked: list[str] = []

    def connect(purpose: str) -> Any:
        time.sleep(0.2)
        asked.append(purpose)
        raise psycopg.OperationalError("connection refused")

    one.tracer.open(connect)
    assert asked == ["traces"]
    one.tracer.close(2)


TOLD: dict[str, Any] = {
    "runId": "ih_1-f1",
    "traceId": TRACE,
    "status": "ERROR",
    "error": {"code": "infra", "message": "no postgresql://ann:hunter2@db"},
    "recipe": "r",
    "version": 3,
    "reopenedAt": 9,
    "startedAt": 9,
    "endedAt": 12,
    "source": {"runId": "ih_1", "traceId": "f" * 32},
    "gates": [{"gateKey": "g", "status": "OPEN", "openedAt": 10, "settledAt": None}],
    "attempts": None,
}


def test_the_end_of_a_run_as_a_span() -> None:
    (span,) = spans_of(TOLD)
    assert (span.span_id, span.parent_id) == (run_span_id("ih_1-f1", 9), run_span_id("ih_1-f1"))
    assert (span.start, span.end, span.name) == (9000, 12000, "run r (again)")
    assert span.link == ("f" * 32, run_span_id("ih_1"), {"workflowID": "ih_1"})
    assert span.events == ((10000, "gate.opened", {"gateKey": "g"}),)
    assert span.error == "infra: no postgresql://ann:***@db"


def test_an_attempt_that_nobody_has_told_is_the_span_that_its_runner_would_have_sent() -> None:
    one = Tracing()
    one.answer(encoded(one.lane, success(None)))
    attempt = {
        "idx": 0,
        "stepId": "S0",
        "taskKey": "",
        "attempt": 1,
        "status": "SUCCESS",
        "error": None,
        "queue": "intentQ",
        "partition": None,
        "worker": "w",
        "msgId": 7,
        "spanId": None,
        "startedAt": 1,
        "endedAt": 10,
        "parent": None,
        "skipped": False,
    }
    _, told = spans_of({**TOLD, "runId": "ih_1", "attempts": [attempt]})
    (sent,) = one.sent
    assert replace(told, start=sent.start, end=sent.end) == sent


def test_a_database_that_is_away_is_waited_for_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def refuse(purpose: str) -> Any:
        calls.append(purpose)
        raise psycopg.OperationalError("connection refused")

    caplog.set_level(logging.INFO, "sisu_kodo")
    ends = Ends(refuse)
    assert [ends.take() for _ in range(3)] == [([], [], False)] * 3
    assert calls == ["traces"] and ends.asked.is_set() and not caplog.records
