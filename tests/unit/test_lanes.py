"""What the pumps of a runner share: when nothing is left, as `--until-idle` understands it."""

from __future__ import annotations

from typing import Any

from sisu_kodo.lanes import Call, Desk, Lane, Result
from sisu_kodo.models import Assignment


def row(outcome: str = "assigned") -> Assignment:
    known: dict[str, Any] = dict.fromkeys(Assignment._fields)
    known |= {"outcome": outcome, "run_id": "r", "step_id": "s", "handler": "h", "queue_name": "q"}
    known |= {"task_key": "", "msg_id": 1, "read_ct": 1, "idx": 0, "attempt": 1, "context": "{}"}
    return Assignment(**known)


def in_hand(desk: Desk) -> Lane:
    """A lane of the desk, whose handler is running."""
    (lane,), _ = desk.settle(desk.plan(), [row()])
    return lane


def polled(desk: Desk) -> Call:
    desk.tick()
    return desk.plan()


def test_an_empty_answer_is_rest() -> None:
    desk = Desk({"q": 10}, pumps=2)
    call = polled(desk)
    desk.settle(call, [])
    assert desk.at_rest(call)


def test_what_was_assigned_is_no_rest() -> None:
    desk = Desk({"q": 10}, pumps=2)
    call = polled(desk)
    desk.settle(call, [row()])
    assert not desk.at_rest(call)


def test_an_answer_to_less_than_a_poll_is_no_rest() -> None:
    desk = Desk({"q": 10}, pumps=2)
    desk.poll_due = False
    call = desk.plan()
    assert call.want == {"q": 5}
    desk.settle(call, [])
    assert not desk.at_rest(call)


def test_a_lane_that_ended_during_the_claim_may_have_left_a_retry() -> None:
    """A transactional handler commits its own result: the claim under way does not see it."""
    desk = Desk({"q": 10}, pumps=2)
    lane = in_hand(desk)
    call = polled(desk)
    desk.in_flight += 1
    desk.settle(Call([Result(lane, "{}")]), [])
    desk.settle(call, [])
    assert not desk.at_rest(call)
    again = polled(desk)
    desk.settle(again, [])
    assert desk.at_rest(again)


def test_results_under_way_during_the_claim_may_leave_a_retry() -> None:
    desk = Desk({"q": 10}, pumps=2)
    desk.post(Result(in_hand(desk), "{}"))
    reports = desk.plan()
    call = polled(desk)
    desk.settle(reports, [])
    desk.settle(call, [])
    assert not desk.at_rest(call)


def test_a_claim_under_way_may_still_get_something() -> None:
    desk = Desk({"q": 10}, pumps=2)
    call = polled(desk)
    desk.wake()
    other = desk.plan()
    desk.settle(call, [])
    assert not desk.at_rest(call)
    desk.settle(other, [])
    assert not desk.at_rest(other)


def test_a_lane_given_back_during_the_claim_is_to_be_claimed_again() -> None:
    desk = Desk({"q": 10}, pumps=2)
    lane = in_hand(desk)
    call = polled(desk)
    desk.drop(lane)
    desk.settle(call, [])
    assert not desk.at_rest(call)
