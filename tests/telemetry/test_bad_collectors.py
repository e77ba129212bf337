"""A collector that is down, slow or wrong: runs do not notice, one warning is logged, nobody waits for it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sisu_kodo.client import Client
from tests.integration.runner_support import put, start, start_many, wait_for_status, wait_until
from tests.telemetry.receiver import Receiver, receiving
from tests.telemetry.telemetry_support import (
    SECOND,
    assert_connected,
    events_in,
    root_of,
    run_until_idle,
    tracing_runner,
)

RUNS = 60
PATIENCE = 20.0


@pytest.fixture
def client(conn: psycopg.Connection[Any]) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


def _closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("answer", ["down", "never", "garbage", 404, 500, 503, "no URL", "no host"])
def test_runs_are_not_affected(dsn: str, client: Client, tmp_path: Path, answer: int | str) -> None:
    fan = {"queue": "sbxQ", "handler": "test/noop"}
    put(client, {"handler": "test/noop"}, {"handler": "test/plan", "fanOut": fan})
    runs = start_many(client, RUNS)
    log = tmp_path / "log"
    given = {
        "down": f"http://127.0.0.1:{_closed_port()}/v1/traces",
        "no URL": "::ann:hunter2@ is no URL?token=hunter2",
        "no host": "http://collector.invalid:4318/v1/traces",
    }
    with (
        nullcontext(Receiver()) if answer in given else receiving(answer) as receiver,
        tracing_runner(dsn, given.get(str(answer), receiver.url), log=log) as process,
    ):
        began = time.monotonic()
        for run_id in runs:
            wait_for_status(client, run_id, "SUCCESS")
        assert time.monotonic() - began < PATIENCE
        wait_until(lambda: answer in given or receiver.requests, "an attempt to tell")
        told = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - told < 3.5, "it does not wait for a collector"
    warnings = events_in(log, "telemetry.failed")
    assert len(warnings) == 1, log.read_text()
    text = log.read_text()
    assert "hunter2" not in text and "Traceback" not in text
    assert all(line.startswith("{") for line in text.splitlines()), "the SDK says nothing by itself"
    assert str(answer) in warnings[0]["error"] or not isinstance(answer, int) or answer == 503
    (closed,) = events_in(log, "telemetry.closed")
    assert closed["dropped"] > 0 and closed["sent"] == 0


def test_one_warning_however_long_it_lasts(dsn: str, client: Client, tmp_path: Path) -> None:
    put(client, {"handler": "test/noop"})
    log = tmp_path / "log"
    with receiving(404) as receiver, tracing_runner(dsn, receiver.url, log=log):
        for n in range(100):
            wait_for_status(client, start(client, f"run {n}"), "SUCCESS")
            if receiver.requests >= 3:
                break
            time.sleep(0.1)
        assert receiver.requests >= 3
        assert len(events_in(log, "telemetry.failed")) == 1
        receiver.answer = 200
        last = start(client, "when it is back")
        root = root_of(receiver, last)
        wait_until(lambda: events_in(log, "telemetry.recovered"), "the good news")
    assert root.attributes["run.status"] == "SUCCESS"


def test_ends_wait_for_a_collector_that_comes_back(dsn: str, client: Client, tmp_path: Path) -> None:
    """They are rows; another runner sends them when they were not sent."""
    put(client, {"handler": "test/noop"})
    with receiving(404) as receiver:
        run_until_idle(dsn, receiver.url)
        run_id = start(client)
        run_until_idle(dsn, receiver.url)
        receiver.answer = 200
        client._connection.execute("update app.run_ends set taken_at = taken_at - interval '31 seconds'")
        run_until_idle(dsn, receiver.url, name=SECOND)
        root = root_of(receiver, run_id)
    assert_connected([root], client.run(run_id)["traceId"])


def test_with_the_endpoint_of_the_standard(dsn: str, client: Client) -> None:
    """DBOS_ENABLE_OTLP alone is enough to start; the SDK's own variables say where to."""
    put(client, {"handler": "test/noop"})
    run_id = start(client)
    with receiving() as receiver:
        environment = {
            "DBOS_ENABLE_OTLP": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url.removesuffix("/v1/traces"),
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
        }
        run_until_idle(dsn, None, environment=environment)
        root = root_of(receiver, run_id)
    assert root.resource["deployment.environment"] == "test"
