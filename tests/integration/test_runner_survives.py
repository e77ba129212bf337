"""Runners as processes: signals, kill -9, lost connections, a restarted server. Nothing may be lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from sisu_kodo import database
from sisu_kodo.client import Client, connected
from sisu_kodo.config import load_config
from sisu_kodo.database.schema import rebuild_system
from sisu_kodo.errors import from_database
from tests.integration.runner_support import (
    put,
    runner_process,
    scalar,
    short_leases,
    start,
    start_many,
    statuses,
    wait_for_status,
    wait_until,
)

Database = psycopg.Connection[Any]


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path


def _begun(marks: Path, count: int = 1) -> list[Path]:
    found: list[Path] = wait_until(
        lambda: paths if len(paths := list(marks.glob("begun-*"))) >= count else None,
        f"{count} handlers begun",
    )
    return found


def test_sigterm_drains(dsn: str, client: Client, marks: Path) -> None:
    put(client, {"handler": "test/hold"}, {"handler": "test/noop"})
    run_id = start(client, marks=str(marks))
    with runner_process(dsn) as process:
        _begun(marks)
        later = start(client, "after the signal", marks=str(marks))
        process.send_signal(signal.SIGTERM)
        (marks / "go").touch()
        assert process.wait(20) == 0
    assert statuses(client, run_id)[0] == ("S0", "SUCCESS", 1)
    assert client.run(run_id)["status"] == "PENDING", "the next step is for another runner"
    with runner_process(dsn, name="runner-b"):
        wait_for_status(client, run_id, "SUCCESS")
        wait_for_status(client, later, "SUCCESS")
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "SUCCESS", 1)]


def test_a_second_signal_gives_the_leases_back(dsn: str, client: Client, marks: Path) -> None:
    put(client, {"handler": "test/hold"})
    run_id = start(client, marks=str(marks))
    with runner_process(dsn) as process:
        _begun(marks)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    (marks / "go").touch()
    with runner_process(dsn, name="runner-b"):
        wait_for_status(client, run_id, "SUCCESS")
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]


def test_kill_9_during_a_fan_out_and_a_restart_under_the_same_name(
    dsn: str, client: Client, conn: Database, marks: Path
) -> None:
    put(
        client,
        {"handler": "test/plan", "fanOut": {"queue": "sbxQ", "handler": "test/task"}},
        {"handler": "test/noop"},
    )
    run_id = start(client, marks=str(marks), tasks=3)
    with runner_process(dsn) as process:
        _begun(marks, 3)
        process.kill()
        process.wait()
        (marks / "go").touch()
    with runner_process(dsn):
        wait_for_status(client, run_id, "SUCCESS")
    assert scalar(conn, "select array_agg(seen_count) from app.mock_receipts where run_id = %s", run_id) == [
        1,
        1,
        1,
    ]
    attempts = [(s["status"], s["attempt"]) for s in client.steps(run_id) if s.get("taskKey")]
    assert attempts == [("SUCCESS", 2)] * 3
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "SUCCESS", 1)]


def test_another_runner_takes_over_when_the_leases_of_a_dead_one_end(
    dsn: str, client: Client, marks: Path
) -> None:
    short_leases(dsn)
    put(client, {"handler": "test/hold"})
    run_id = start(client, marks=str(marks))
    with runner_process(dsn) as process:
        _begun(marks)
        process.kill()
        process.wait()
        (marks / "go").touch()
    with runner_process(dsn, name="runner-b"):
        wait_for_status(client, run_id, "SUCCESS")
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]


def test_a_runner_that_slept_through_its_lease_is_fenced_off(
    dsn: str, client: Client, conn: Database, marks: Path
) -> None:
    short_leases(dsn)
    put(client, {"handler": "test/hold"})
    run_id = start(client, marks=str(marks))
    with runner_process(dsn) as process:
        _begun(marks)
        os.kill(process.pid, signal.SIGSTOP)
        with runner_process(dsn, name="runner-b"):
            _begun(marks, 2)
            (marks / "go").touch()
            wait_for_status(client, run_id, "SUCCESS")
        os.kill(process.pid, signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert (
        scalar(conn, "select count(*) from app.run_steps where run_id = %s and status = 'SUCCESS'", run_id)
        == 1
    )


def test_a_checkpoint_of_a_runner_that_slept_through_its_lease_is_refused(
    dsn: str, client: Client, conn: Database, marks: Path
) -> None:
    short_leases(dsn)
    put(client, {"handler": "test/stepping"})
    run_id = start(client, marks=str(marks))
    lease = (
        "select jsonb_build_object('queue', queue_name, 'msgId', msg_id, 'readCt', read_ct, 'runId', run_id,"
        " 'idx', idx, 'taskKey', task_key) from app.run_steps where run_id = %s"
    )
    with runner_process(dsn) as process:
        _begun(marks)
        old = Jsonb(scalar(conn, lease, run_id))
        os.kill(process.pid, signal.SIGSTOP)
        with runner_process(dsn, name="runner-b"):
            _begun(marks, 2)
            with pytest.raises(psycopg.Error) as caught:
                entry = Jsonb({"seq": 0, "kind": "step", "name": "after"})
                conn.execute("select app.checkpoint('runner-a', %s, %s)", (old, entry))
            assert from_database(caught.value).code == "stale_lease"
            (marks / "go").touch()
            wait_for_status(client, run_id, "SUCCESS")
        os.kill(process.pid, signal.SIGCONT)
        wait_until((marks / "refused-S0--1").exists, "the refusal")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    kept = "select jsonb_agg(jsonb_build_array(seq, name, value, attempt)) from app.checkpoints"
    assert scalar(conn, kept) == [[0, "after", 2, 2]]


def test_kill_9_between_checkpoints(dsn: str, client: Client, conn: Database, marks: Path) -> None:
    put(client, {"handler": "test/errands"})
    run_id = start(client, marks=str(marks))
    with runner_process(dsn) as process:
        wait_until(lambda: scalar(conn, "select count(*) from app.checkpoints") >= 2, "two checkpoints")
        process.kill()
        process.wait()
    (marks / "go").touch()
    with runner_process(dsn):
        wait_for_status(client, run_id, "SUCCESS")
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert (marks / "errands").read_text().split() == ["one", "two", "three", "four"]


def test_lost_connections_lose_nothing(dsn: str, client: Client, conn: Database) -> None:
    short_leases(dsn, 2)
    put(client, *[{"handler": "test/slow"}] * 3)
    ids = start_many(client, 200)
    with runner_process(dsn, "--concurrency", "20"):
        for done in (20, 60, 120):
            wait_until(partial(_at_least, conn, done), f"{done} runs done")
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name like 'sisu runner%' and datname = current_database()"
            )
        wait_until(lambda: _succeeded(conn) == len(ids), "all runs done", 60)
    assert scalar(conn, "select max(n) from (select count(*) as n from app.run_steps where status = 'SUCCESS'"
                        " group by run_id, idx) as s") == 1  # fmt: skip


def test_queues_thrown_away_under_load_lose_nothing(dsn: str, client: Client, conn: Database) -> None:
    """`db reset --system` under load: the leases come back under the same ids, no attempt is lost."""
    put(client, *[{"handler": "test/slow"}] * 3)
    ids = start_many(client, 300)
    with (
        runner_process(dsn, "--concurrency", "20"),
        runner_process(dsn, "--concurrency", "20", name="runner-b"),
    ):
        for done in (20, 80, 160):
            wait_until(partial(_at_least, conn, done), f"{done} runs done")
            rebuild_system(dsn)
        wait_until(lambda: _succeeded(conn) == len(ids), "all runs done", 60)
    assert scalar(conn, "select max(attempt) from app.run_steps") == 1
    assert client.broken_laws() == []


def test_code_replayed_under_load_loses_nothing(dsn: str, client: Client, conn: Database) -> None:
    put(client, *[{"handler": "test/slow"}] * 3)
    ids = start_many(client, 300)
    with runner_process(dsn, "--concurrency", "20"):
        for done in (20, 80, 160):
            wait_until(partial(_at_least, conn, done), f"{done} runs done")
            conn.execute("delete from app.settings where key = 'code_hash'")
            database.migrate(dsn)
        wait_until(lambda: _succeeded(conn) == len(ids), "all runs done", 60)
    assert scalar(conn, "select max(attempt) from app.run_steps") == 1


def test_a_restart_of_postgres_loses_nothing(tmp_path: Path) -> None:
    config = load_config(sisu_home=tmp_path / "home").model_copy(update={"database_url": None})
    dsn = database.ensure_up(config)
    try:
        database.migrate(dsn)
        short_leases(dsn, 2)
        with connected(dsn) as client:
            put(client, *[{"handler": "test/slow"}] * 3)
            ids = start_many(client, 100)
        with runner_process(dsn, "--concurrency", "20"):
            with closing(database.connect(dsn)) as conn:
                wait_until(partial(_at_least, conn, 20), "20 runs done")
            database.down(config)
            database.ensure_up(config)
            with closing(database.connect(dsn)) as conn:
                wait_until(partial(_at_least, conn, len(ids)), "all runs done", 60)
                assert Client(conn).broken_laws() == []
    finally:
        database.down(config)


def _at_least(conn: Database, count: int) -> bool:
    return _succeeded(conn) >= count


def _succeeded(conn: Database) -> int:
    return int(scalar(conn, "select count(*) from app.runs where status = 'SUCCESS'"))
