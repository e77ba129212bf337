"""Walkthrough C: a slow run is cancelled, the audit says so, and resume goes on at the last checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg

from sisu_kodo.client import Client
from tests.e2e.e2e_support import (
    HANDLERS,
    PARTITION,
    attempts,
    count_tasks,
    psql,
    sisu,
    sisu_json,
    start_intent,
)
from tests.integration.runner_support import (
    put,
    runner_process,
    scalar,
    start,
    statuses,
    wait_for_status,
    wait_until,
)

Database = psycopg.Connection[Any]
TASKS = 8
BEGUN_LATER = """select count(*) from app.run_steps as s join app.runs as r using (run_id)
    where r.run_id = %s and s.started_at > r.ended_at + interval '100 ms'"""


def cancel(run_id: str) -> None:
    [answer] = sisu_json("ops", "cancel", run_id, "--actor", "fde", "--reason", "stalled")
    assert (answer["accepted"], answer["status"]) == (True, "CANCELLED")


def resume(run_id: str) -> None:
    [answer] = sisu_json("ops", "resume", run_id, "--actor", "fde", "--reason", "go on")
    assert (answer["accepted"], answer["run_id"]) == (True, run_id)


def audit(run_id: str) -> list[str]:
    return psql(f"SELECT inline->>'op' FROM app.artifacts WHERE step_id='OPS' AND run_id='{run_id}'")


def place(conn: Database, run_id: str) -> Any:
    """What a resume must not change."""
    return conn.execute(
        "select run_id, queue_name, partition_key, queue_seq, priority from app.runs where run_id = %s",
        (run_id,),
    ).fetchone()


def nothing_held(conn: Database) -> bool:
    return bool(scalar(conn, "select count(*) = 0 from app.leases()"))


def test_cancelled_during_execute_with_open_tasks(
    operator: str, client: Client, conn: Database, recordings: Path
) -> None:
    run_id = start_intent(recordings, "walkthrough C", TASKS, sleepMS=1000)
    before = place(conn, run_id)
    with runner_process(operator, "--queue", "intentQ", "--queue", "sbxQ=2", name="walkthrough-c"):
        wait_for_status(client, run_id, "WAITING_INPUT")
        sisu("approve", run_id, "--by", "fde")
        wait_until(lambda: count_tasks(conn, run_id, "SUCCESS") == 2, "two tasks done")
        wait_until(lambda: count_tasks(conn, run_id, "PENDING") == 2, "two tasks under way")
        cancel(run_id)
        assert audit(run_id) == ["reply", "cancel"]
        assert client.run(run_id)["status"] == "CANCELLED"
        assert client.run(run_id)["nextAction"] == "RESUME"
        assert count_tasks(conn, run_id, "ENQUEUED") == 0, "no task is in line any more"

        wait_until(lambda: nothing_held(conn), "what was under way has ended")
        stopped = client.timeline(run_id)
        time.sleep(1.3)  # two polls of the runner: nothing may start
        assert client.timeline(run_id) == stopped
        done = {
            step["taskKey"]
            for step in client.steps(run_id)
            if step.get("taskKey") and step["status"] == "SUCCESS"
        }
        assert 2 <= len(done) < TASKS, "a task under way may commit"
        assert scalar(conn, BEGUN_LATER, run_id) == 0, "one in line never starts"

        resume(run_id)
        header = wait_for_status(client, run_id, "SUCCESS")
    assert audit(run_id) == ["reply", "cancel", "resume"]
    assert place(conn, run_id) == before
    assert header["queuePartitionKey"] == PARTITION
    assert statuses(client, run_id) == [
        ("CompileST", "SUCCESS", 1),
        ("ApplyPatchST", "SUCCESS", 1),
        ("DecideST", "SUCCESS", 1),
        ("ExecuteST", "SUCCESS", 2),
    ]
    tasks = {
        step["taskKey"]: (step["status"], step["attempt"])
        for step in client.steps(run_id)
        if step.get("taskKey")
    }
    assert tasks == {key: ("SUCCESS", 1 if key in done else 2) for key in tasks}, (
        "what was done is not done again"
    )
    assert psql(f"SELECT seen_count FROM app.mock_receipts WHERE run_id = '{run_id}'") == ["1"] * TASKS


def test_cancelled_at_the_gate(operator: str, client: Client, conn: Database, recordings: Path) -> None:
    run_id = start_intent(recordings, "walkthrough C at the gate", 2)
    before = place(conn, run_id)
    with runner_process(operator, name="walkthrough-c"):
        wait_for_status(client, run_id, "WAITING_INPUT")
        cancel(run_id)
        sisu("approve", run_id, "--by", "fde", code=4)
        assert psql("SELECT count(*) FROM app.v_gates_open") == ["0"]
        resume(run_id)
        assert client.run(run_id)["nextAction"] == "APPROVE_PLAN"
        sisu("approve", run_id, "--by", "fde")
        wait_for_status(client, run_id, "SUCCESS")
    assert audit(run_id) == ["cancel", "resume", "reply"]
    assert place(conn, run_id) == before
    assert {attempt for _, _, attempt in statuses(client, run_id)} == {1}


def test_cancelled_in_the_middle_of_a_step(
    operator: str, client: Client, conn: Database, tmp_path: Path
) -> None:
    put(client, {"handler": "test/noop"}, {"handler": "test/hold"}, {"handler": "test/noop"}, name="slow")
    run_id = start(client, "slow", name="slow", marks=str(tmp_path))
    with runner_process(operator, name="walkthrough-c"):
        wait_until(lambda: list(tmp_path.glob("begun-S1-*")), "the slow step begun")
        cancel(run_id)
        wait_until(lambda: nothing_held(conn), "the step in flight has committed")
        assert statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "SUCCESS", 1)], (
            "the next never starts"
        )
        assert client.run(run_id)["status"] == "CANCELLED"
        resume(run_id)
        wait_for_status(client, run_id, "SUCCESS")
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "SUCCESS", 1), ("S2", "SUCCESS", 1)]
    assert audit(run_id) == ["cancel", "resume"]


def test_resumed_before_the_step_has_stopped(
    operator: str, client: Client, conn: Database, tmp_path: Path
) -> None:
    put(client, {"handler": "e2e/slow-to-stop"}, {"handler": "test/noop"}, name="slow")
    run_id = start(client, "slow to stop", name="slow", marks=str(tmp_path))
    with runner_process(operator, "--import", HANDLERS, name="walkthrough-c"):
        wait_until((tmp_path / "begun").exists, "the slow step begun")
        cancel(run_id)
        wait_until((tmp_path / "told").exists, "the handler was told")
        resume(run_id)
        (tmp_path / "go").touch()
        wait_for_status(client, run_id, "SUCCESS")
    assert attempts(conn, run_id, "S0") == [("ERROR", 1), ("SUCCESS", 2)]
