"""What an attempt reports: a row of `app.result`, for `app.work_rows`, as Postgres writes it in an array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .artifacts import as_json
from .json_text import written
from .lanes import Lane, Result, quoted
from .models import JSON, StepError, StepResult

_LONGEST_MESSAGE = 10_000
_RARE = ("tasks", "artifacts", "error", "wait")
_MORE = "," * (len(_RARE) - 1)


def success(value: Any) -> dict[str, JSON]:
    """The report of an attempt that returned `value`."""
    if not isinstance(value, StepResult):
        return {"status": "SUCCESS", "output": value}
    report: dict[str, JSON] = {"status": "SUCCESS", "output": value.output}
    if value.artifacts:
        report["artifacts"] = [as_json(each) for each in value.artifacts]
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
        report["artifacts"] = [as_json(each) for each in error.artifacts]
    return report


def encoded(lane: Lane, report: dict[str, JSON]) -> Result:
    """The result as JSON text. What is not JSON becomes an ERROR `result_rejected` that says why."""
    try:
        return result_of(lane, report)
    except StepError as error:
        return rejected(lane, error.message)


def result_of(lane: Lane, report: dict[str, JSON]) -> Result:
    """The result as JSON text. Raises StepError `result_rejected` for what `written` refuses."""
    span = None if lane.span is None else lane.span.ended(report)
    try:
        result = Result(lane, _text(lane, report), report.get("output"))
    except (TypeError, ValueError) as error:
        message = f"the handler's result is not JSON: {error}"
        raise StepError("result_rejected", message, retryable=False) from error
    result.span = span
    return result


def rejected(lane: Lane, message: str) -> Result:
    """The result that stands in for one that could not be stored."""
    facts = failure(StepError("result_rejected", message, retryable=False))
    result = Result(lane, _text(lane, facts))
    result.replaced = True
    return result


def as_array(rows: Iterable[str]) -> str:
    """An `app.result[]` of the texts of results."""
    return "{" + ",".join(rows) + "}"


def _text(lane: Lane, report: dict[str, JSON]) -> str:
    """The report with what names the attempt, and proves that its lane is still held: the fields in the order
    of `app.result`, where nothing between two commas is null.
    """
    at, get = lane.attempt, report.get
    receipt = "t" if get("receipt") else ""
    more = _MORE if report.keys().isdisjoint(_RARE) else ",".join(_json(get(name)) for name in _RARE)
    return (
        f"{lane.head},{at.idx},{at.attempt},{report['status']},{_json(get('output'))}"
        f',{get("spanId") or ""},{receipt},{more})"'
    )


def _json(value: JSON) -> str:
    return "" if value is None else quoted(written(value))
