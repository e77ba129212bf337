"""The engine against a model of its contract: random calls from several connections, legal and illegal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from psycopg import Connection

from .harness import Harness
from .machine import Machine
from .rules_all import Everything

EXAMPLES = int(os.environ.get("SISU_MODEL_EXAMPLES", "60"))
# SISU_MODEL_SHRINK=0: the first sequence that fails, as it was found
PHASES = [Phase.generate, Phase.shrink] if os.environ.get("SISU_MODEL_SHRINK") != "0" else [Phase.generate]
STEPS = int(os.environ.get("SISU_MODEL_STEPS", "100"))


def test_the_engine_does_what_its_contract_says(
    connect: Callable[..., Connection[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    Machine.harness, Machine.counts, Machine.moves, Machine.found_after = (
        Harness(connect),
        Counter(),
        Counter(),
        [],
    )
    try:
        run_machine()
    finally:
        with capsys.disabled():
            report()


def run_machine() -> None:
    run_state_machine_as_test(
        Everything,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize="SISU_MODEL_RANDOM" not in os.environ,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
            phases=PHASES,
        ),
    )


def report() -> None:
    """What was done, so that a reader sees it."""
    print(f"\n{sum(Machine.counts.values())} calls")
    if Machine.found_after:
        print(f"a mismatch after {Machine.found_after[0]} calls")
    for (action, outcome), count in sorted(Machine.counts.items()):
        print(f"  {action:24} {outcome:24} {count}")
    print("what became of the runs")
    for (before, after, code), count in sorted(Machine.moves.items()):
        print(f"  {before or '-':14} → {after:30} {code:30} {count}")
