"""How fast and how exactly a dead worker's work goes on; times by the database's clock, printed with `-s`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sisu_kodo.client import Client
from tests.e2e.e2e_support import HANDLERS, count_tasks
from tests.integration.runner_support import (
    put,
    runner_process,
    scalar,
    short_leases,
    start,
    wait_for_status,
    wait_until,
)

Database = psycopg.Connection[Any]
TASKS = 100
MARGIN = 2.0
"""Seconds that a busy machine may add to the figures that the contract promises."""


def test_a_hundred_tasks_give_a_hundred_results(
    operator: str, client: Client, conn: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = tmp_path / "executions"
    monkeypatch.setenv("SISU_TEST_COUNT", str(executions))
    short_leases(operator)
    put(
        client,
        {"handler": "e2e/tasks", "fanOut": {"queue": "sbxQ", "handler": "e2e/task", "maxTasks": TASKS}},
        {"handler": "test/noop"},
        name="hundred",
    )
    run_id = start(client, "a hundred", name="hundred", tasks=TASKS)
    words = ("--import", HANDLERS, "--concurrency", "6")
    with (
        runner_process(operator, *words, name="first") as first,
        runner_process(operator, *words, name="second"),
    ):
        wait_until(lambda: count_tasks(conn, run_id, "SUCCESS") >= 30, "thirty tasks done")
        first.kill()
        first.wait()
        assert 0 < count_tasks(conn, run_id, "SUCCESS") < TASKS, "killed midway"
        wait_for_status(client, run_id, "SUCCESS")

    lost = int(scalar(conn, "select count(*) from app.run_steps where run_id = %s and lost", run_id))
    executed = Counter(line.split()[2] for line in executions.read_text(encoding="utf-8").splitlines())
    print(
        f"\n{TASKS} tasks: {lost} attempts lost with their worker, {executed.total()} executions, 100 results"
    )
    assert lost > 0, "the dead worker held some"
    assert len(executed) == TASKS
    per_task = (
        "select count(*), count(distinct task_key) from app.run_steps where run_id = %s and task_key <> ''"
    )
    assert conn.execute(f"{per_task} and status = 'SUCCESS'".encode(), (run_id,)).fetchone() == (TASKS, TASKS)
    receipts = "select count(*), min(seen_count), max(seen_count) from app.mock_receipts where run_id = %s"
    assert conn.execute(receipts, (run_id,)).fetchone() == (TASKS, 1, 1)
    joined = scalar(
        conn,
        "select output -> 'tasks' from app.run_steps where run_id = %s and idx = 0 and task_key = ''",
        run_id,
    )
    assert [task["output"] for task in joined] == list(range(TASKS)), "all of them, in order"
    assert {task["status"] for task in joined} == {"SUCCESS"}


def test_a_lost_step_is_claimed_again_within_its_lease_and_a_second(
    operator: str, client: Client, conn: Database, tmp_path: Path
) -> None:
    lease = 2
    short_leases(operator, lease)
    put(client, {"handler": "test/hold"})
    run_id = start(client, "lost", marks=str(tmp_path))
    with runner_process(operator, name="first") as first:
        wait_until(lambda: list(tmp_path.glob("begun-*")), "the step begun")
        with runner_process(operator, name="second"):
            wait_until(lambda: scalar(conn, "select count(*) = 2 from app.workers"), "another worker there")
            crashed_at = scalar(conn, "select clock_timestamp()")
            first.kill()
            first.wait()
            wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 2, "the step begun again")
            (tmp_path / "go").touch()
            wait_for_status(client, run_id, "SUCCESS")
    seconds = seconds_until_the_second_attempt(conn, run_id, crashed_at)
    print(f"\ncrash to re-claim by another worker: {seconds:.2f} s with a lease of {lease} s")
    assert seconds < lease + 1 + MARGIN


def test_a_worker_that_restarts_under_its_name_gets_its_step_back_at_once(
    operator: str, client: Client, conn: Database, tmp_path: Path
) -> None:
    put(client, {"handler": "test/hold"})
    run_id = start(client, "restarted", marks=str(tmp_path))
    assert scalar(conn, "select min(lease_seconds) from app.queues") == 30
    with runner_process(operator, name="same") as process:
        wait_until(lambda: list(tmp_path.glob("begun-*")), "the step begun")
        process.kill()
        process.wait()
    (tmp_path / "go").touch()
    with runner_process(operator, name="same"):
        wait_for_status(client, run_id, "SUCCESS")
        back_at = scalar(conn, "select started_at from app.workers where worker = 'same'")
    seconds = seconds_until_the_second_attempt(conn, run_id, back_at)
    print(f"\nrestart to re-claim under the same name: {seconds * 1000:.0f} ms with a lease of 30 s")
    assert seconds < MARGIN
    message = scalar(conn, "select error ->> 'message' from app.run_steps where run_id = %s and lost", run_id)
    assert message == "worker same was restarted"


def seconds_until_the_second_attempt(conn: Database, run_id: str, since: Any) -> float:
    """From `since` to the claim of attempt 2 of the first step."""
    statement = (
        "select extract(epoch from started_at - %s) from app.run_steps where run_id = %s and attempt = 2"
    )
    return float(scalar(conn, statement, since, run_id))
