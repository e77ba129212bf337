"""The mock sandbox: deterministic, with commands that misbehave as named."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sisu_kodo.models import StepError
from sisu_kodo.sbx import Job, run


def _job(*cmd: str, attempt: int = 1, sleep_ms: int = 0, stop: bool = False) -> Job:
    return Job(cmd, None, Path("/nowhere"), attempt=attempt, sleep_ms=sleep_ms, cancelled=lambda: stop)


def test_the_same_task_gives_the_same_result() -> None:
    first, second = (run(_job("python", "-m", "pytest", "a b.py"), "mock") for _ in range(2))
    assert first == second and first.exit_code == 0
    assert first.stdout == b"mock: python -m pytest 'a b.py'\n"
    assert first.isolation["provider"] == "mock"


def test_fail_me_exits_non_zero() -> None:
    result = run(_job("FAIL_ME"), "mock")
    assert result.exit_code == 1 and not result.timed_out and b"FAIL_ME" in result.stderr


def test_timeout_me_reaches_the_wall_clock() -> None:
    result = run(_job("TIMEOUT_ME"), "mock")
    assert result.timed_out and result.limit == "wallSeconds" and result.exit_code == 137


@pytest.mark.parametrize(("name", "attempt"), [("INFRA_FAIL", 1), ("INFRA_FAIL", 5), ("FLAKY_INFRA_FAIL", 1)])
def test_infrastructure_failures_are_to_be_retried(name: str, attempt: int) -> None:
    with pytest.raises(StepError) as caught:
        run(_job(name, attempt=attempt), "mock")
    assert (caught.value.code, caught.value.retryable) == ("infra_failure", True)


def test_flaky_succeeds_on_the_second_attempt() -> None:
    assert run(_job("FLAKY_INFRA_FAIL", attempt=2), "mock").exit_code == 0


def test_it_sleeps_as_asked_and_hears_cancel() -> None:
    started = time.monotonic()
    run(_job("x", sleep_ms=150), "mock")
    assert 0.15 <= time.monotonic() - started < 5
    with pytest.raises(StepError) as caught:
        run(_job("x", sleep_ms=60_000, stop=True), "mock")
    assert caught.value.code == "cancelled" and time.monotonic() - started < 10


@pytest.mark.parametrize(("mode", "provider"), [("live", "e2b"), ("real", "local"), ("", "local")])
def test_an_unknown_sandbox_is_refused_for_good(mode: str, provider: str) -> None:
    with pytest.raises(StepError) as caught:
        run(_job("x"), mode, provider)
    assert (caught.value.code, caught.value.retryable) == ("sandbox_unavailable", False)
