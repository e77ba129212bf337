"""What a handler returns is kept only if whoever comes later can read it again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sisu_kodo.checkpoints import Ledger
from sisu_kodo.lanes import Lane
from sisu_kodo.models import JSON, Assignment, StepError, StepResult
from sisu_kodo.results import encoded, result_of, success

LARGEST = 2**1024 - 2**971  # of the doubles


def nested(levels: int) -> JSON:
    value: JSON = "core"
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


@pytest.fixture
def lane() -> Lane:
    return Lane(Assignment("assigned", "run", "S", 0, "", 1, "intentQ", 7, 0, "h", None, "{}", None))


@pytest.mark.parametrize(
    "output",
    [nested(500), [nested(3)] * 600, LARGEST, -LARGEST, "7" * 400, [1.7e308, True, None], "x" * 1_048_574],
    ids=["deep", "wide", "large", "small", "digits", "plain", "long"],
)
def test_what_can_be_read_again_is_kept(lane: Lane, output: JSON) -> None:
    result_of(lane, success(output))


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (nested(501), "deeper than 500 levels"),
        ((nested(500),), "deeper than 500 levels"),
        (nested(100_000), "deeper than 500 levels"),
        (LARGEST + 1, "beyond 1.8e308"),
        ([{"n": (-(10**400),)}], "beyond 1.8e308"),
        (10**5000, "4300 digits"),
    ],
    ids=["deep", "tuple", "abyss", "large", "small", "huge"],
)
def test_what_cannot_is_refused(lane: Lane, output: JSON, why: str) -> None:
    for report in (success(output), success(StepResult(output))):
        with pytest.raises(StepError, match=why) as refusal:
            result_of(lane, report)
        assert (refusal.value.code, refusal.value.retryable) == ("result_rejected", False)
    assert encoded(lane, success(output)).replaced


@pytest.mark.parametrize("value", [nested(501), 10**400], ids=["deep", "large"])
def test_nor_is_it_kept_as_a_task_or_a_checkpoint(lane: Lane, value: Any) -> None:
    with pytest.raises(StepError, match="result is not JSON"):
        result_of(lane, success(StepResult(tasks=[value])))
    ledger = Ledger("S", [])
    with pytest.raises(StepError, match="result is not JSON"):
        ledger.written(ledger.take("step", "one"), value=value)


@pytest.mark.parametrize(
    "context",
    ['{"outputs": {"S": 1' + "0" * 5000 + "}}", '{"outputs": ' + "[" * 9999 + "]" * 9999 + "}"],
    ids=["huge", "deep"],
)
def test_a_context_that_cannot_be_read_is_a_fault_of_its_lane(lane: Lane, context: str) -> None:
    row = lane.attempt._replace(context=context)
    lane.advance(row._replace(outcome="continued"), None)
    for each in (lane, Lane(row)):
        assert each.fault is not None
        assert (each.fault.code, each.fault.retryable) == ("context_unreadable", False)


def test_a_context_is_read_as_it_was_written() -> None:
    context = {"recipe": {"name": "r", "version": 2}, "outputs": {"S": [1, 0.5, "é", None]}}
    row = Assignment("assigned", "run", "S", 0, "", 1, "q", 7, 0, "h", None, json.dumps(context), None)
    lane = Lane(row)
    assert (lane.context, lane.recipe.name, lane.recipe.version, lane.fault) == (context, "r", 2, None)
