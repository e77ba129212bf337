"""Walkthrough A: the worker is killed during ExecuteST, started again, and the run goes on under its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from sisu_kodo.client import Client
from tests.e2e.e2e_support import attempts, count_tasks, psql, sisu, sisu_json, start_intent
from tests.integration.runner_support import (
    runner_process,
    scalar,
    short_leases,
    statuses,
    wait_for_status,
    wait_until,
)

TASKS = 4


def test_a_run_survives_kill_9_during_execute(
    operator: str, client: Client, conn: psycopg.Connection[Any], recordings: Path
) -> None:
    short_leases(operator)
    run_id = start_intent(recordings, "walkthrough A", TASKS, sleepMS=1000)
    with runner_process(operator, "--queue", "intentQ", "--queue", "sbxQ=2", name="walkthrough-a") as worker:
        wait_for_status(client, run_id, "WAITING_INPUT")
        assert sisu_json("show", run_id)["run"]["nextAction"] == "APPROVE_PLAN"
        sisu("approve", run_id, "--by", "po")
        wait_until(lambda: count_tasks(conn, run_id, "SUCCESS") == 2, "two tasks done")
        wait_until(lambda: count_tasks(conn, run_id, "PENDING") == 2, "two tasks under way")
        worker.kill()
        worker.wait()

    wait_until(lambda: client.run(run_id)["stale"], "the run is shown as stale")
    assert sisu_json("show", run_id)["run"]["status"] == "PENDING"
    finished = _finished(conn, run_id)
    assert len(finished) == 3 + 2

    with runner_process(operator, "--queue", "intentQ", "--queue", "sbxQ=2", name="walkthrough-a"):
        header = wait_for_status(client, run_id, "SUCCESS")
    assert header["workflowID"] == run_id
    assert psql(f"SELECT seen_count FROM app.mock_receipts WHERE run_id = '{run_id}'") == ["1"] * TASKS
    assert [each[2] for each in statuses(client, run_id)] == [1, 1, 1, 1], "no step was tried again"
    assert [each for each in _finished(conn, run_id) if each in finished] == finished, "what was done stays"
    assert attempts(conn, run_id, "ExecuteST", tasks=True) == [
        *[("SUCCESS", 1)] * 2,
        *[("ERROR", 1), ("SUCCESS", 2)] * 2,
    ]
    why = "select array_agg(distinct error ->> 'code') from app.run_steps where run_id = %s and lost"
    assert scalar(conn, why, run_id) == ["lease_expired"]


def _finished(conn: psycopg.Connection[Any], run_id: str) -> list[str]:
    """The finished attempts, as text."""
    statement = "select s::text from app.run_steps as s where run_id = %s and status = 'SUCCESS' order by 1"
    return [row[0] for row in conn.execute(statement, (run_id,))]
