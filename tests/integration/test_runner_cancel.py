"""Cancel reaches a handler that is running: soon, whatever the interval of the heartbeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from sisu_kodo.client import Client
from tests.integration.runner_support import put, runner_process, scalar, start, statuses, wait_until

Database = psycopg.Connection[Any]
MARGIN = 5.0
"""Two seconds are promised; a test machine may be busy."""


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


def cancelled(client: Client, run_id: str, gone: Callable[[], bool], what: str) -> None:
    """Cancel the run and wait until `gone`; prints how long that took."""
    began = time.monotonic()
    client.control("cancel", run_id, "ann", "enough")
    wait_until(gone, what)
    seconds = time.monotonic() - began
    print(f"{what}: {seconds:.2f} s after the cancel")
    assert seconds < MARGIN
    assert client.run(run_id)["status"] == "CANCELLED"


def ended(client: Client, run_id: str) -> bool:
    return all(step["status"] not in ("ENQUEUED", "PENDING") for step in client.steps(run_id))


def processes(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if mark in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


@pytest.mark.parametrize("age", [0.0, 2.3])
@pytest.mark.parametrize("fan_out", [False, True])
def test_a_sandbox_is_killed(
    dsn: str, client: Client, conn: Database, tmp_path: Path, age: float, fan_out: bool
) -> None:
    mark = f"mark-{tmp_path.name}-{age}"
    if fan_out:
        put(client, {"handler": "test/plan", "fanOut": {"queue": "sbxQ", "handler": "test/sandbox"}})
    else:
        put(client, {"handler": "test/sandbox"})
    run_id = start(client, marks=str(tmp_path), mark=mark)
    with runner_process(dsn, "--heartbeat", "12"):
        wait_until(lambda: len(processes(mark)) >= 2, "the command and its child")
        time.sleep(age)
        cancelled(client, run_id, lambda: not processes(mark), "no process of the sandbox")
        wait_until(lambda: ended(client, run_id), "the end of the attempt")
        assert scalar(conn, "select count(*) from app.leases()") == 0
        wait_until(lambda: not list((tmp_path / "scratch").iterdir()), "its folder is gone")
        errors = (
            "select array_agg(error ->> 'code') from app.run_steps where run_id = %s and status = 'ERROR'"
        )
        assert scalar(conn, errors, run_id) == ["cancelled"]
    assert not processes(mark)


@pytest.mark.parametrize("handler", ["test/hold", "test/patient"])
def test_a_handler_that_looks_is_told(
    dsn: str, client: Client, conn: Database, tmp_path: Path, handler: str
) -> None:
    put(client, {"handler": handler}, {"handler": "test/noop"})
    run_id = start(client, marks=str(tmp_path))
    with runner_process(dsn, "--heartbeat", "12"):
        wait_until(lambda: list(tmp_path.glob("begun-*")), "the handler")
        cancelled(client, run_id, lambda: bool(list(tmp_path.glob("cancelled-*"))), f"{handler} is told")
        wait_until(lambda: ended(client, run_id), "the end of the attempt")
    assert len(statuses(client, run_id)) == 1, "the next step never starts"
    assert not list(tmp_path.glob("stepped-*")), "nor does a step of the handler"
    assert scalar(conn, "select count(*) from app.checkpoints") == 0
