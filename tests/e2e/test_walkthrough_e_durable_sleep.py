"""Walkthrough E: a run sleeps, its only worker is killed, and it wakes at its start plus its duration."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from sisu_kodo.client import Client
from tests.e2e.e2e_support import psql, sisu_json
from tests.integration.runner_support import runner_process, scalar, wait_for_status

ORACLE = "SELECT step_id FROM app.artifacts WHERE run_id='sleep_1'"
SLEEP_MS = 6000


def test_a_sleep_survives_its_worker(operator: str, client: Client, conn: psycopg.Connection[Any]) -> None:
    with runner_process(operator, name="walkthrough-e") as worker:
        begun = sisu_json("sleep", "sleep_1", str(SLEEP_MS))
        assert begun["wakeAt"] == begun["createdAt"] + SLEEP_MS
        worker.kill()
        worker.wait()
    time.sleep(SLEEP_MS / 2000)
    assert psql(ORACLE) == ["sleep-before-sleep"]
    assert client.run("sleep_1")["status"] == "PENDING"

    with runner_process(operator, name="walkthrough-e"):
        wait_for_status(client, "sleep_1", "SUCCESS")
    assert psql(ORACLE) == ["sleep-before-sleep", "sleep-after-sleep"]
    slept = "select extract(epoch from ended_at - created_at) * 1000 from app.runs where run_id = 'sleep_1'"
    late = float(scalar(conn, slept)) - SLEEP_MS
    print(f"woke {late:.0f} ms after its time")
    assert 0 <= late < 5000, "never early; by whoever is alive by then"
