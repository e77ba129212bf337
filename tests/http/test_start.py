"""`sisu api` as a process: it refuses to start on settings it cannot keep, serves, and leaves in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from click.testing import CliRunner

from sisu_kodo.cli.main import main
from sisu_kodo.cli.processes import sisu_command
from sisu_kodo.config import load_config
from sisu_kodo.http.tokens import load_tokens
from sisu_kodo.telemetry.spans import run_span_id
from tests.http.http_support import be_there, put_recipes, wait_until

SECRET = "0123456789abcdef-secret"


def refused(environment: Mapping[str, str], *words: str) -> tuple[int, str]:
    """Exit code and standard error of a `sisu api` that does not come to serve."""
    done = subprocess.run(
        sisu_command("api", *words),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PORT", "many", "PORT: "),
        ("ADMIN_PORT", "99999", "ADMIN_PORT: "),
        ("SISU_BODY_LIMIT", "1", "SISU_BODY_LIMIT: "),
        ("SISU_API_POOL", "0", "SISU_API_POOL: "),
        ("TRACE_BASE_URL", "ftp://x", "TRACE_BASE_URL: "),
        ("SBX_QUEUE_PARTITION", "perhaps", "SBX_QUEUE_PARTITION: "),
        ("SISU_HOST", "0.0.0.0", "SISU_HOST: "),
        ("SISU_TOKENS", f"ann:boss:{SECRET}", "SISU_TOKENS: entry 1"),
        ("SISU_TOKENS_FILE", "/nowhere", "SISU_TOKENS_FILE: "),
    ],
)
def test_a_bad_value_stops_the_start_and_is_named(variable: str, value: str, told: str) -> None:
    code, said = refused({"DATABASE_URL": "postgresql://127.0.0.1:1/x", variable: value})
    assert code == 2, said
    assert f"error: {told}" in said


def test_a_port_that_is_taken_is_named(dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = refused({"DATABASE_URL": dsn, "PORT": port})
        assert (code, f"PORT: cannot listen on 127.0.0.1:{port}" in said) == (2, True), said
        code, said = refused({"DATABASE_URL": dsn, "PORT": "0"}, "--admin-port", port)
        assert (code, "ADMIN_PORT: cannot listen" in said) == (2, True), said


def test_a_database_that_says_otherwise_is_refused(dsn: str, conn: psycopg.Connection[Any]) -> None:
    wanted = {
        "DATABASE_URL": dsn,
        "PORT": "0",
        "SBX_QUEUE_PARTITION": "true",
        "OC_MODE": "live",
        "SBX_MODE": "mock",
    }
    code, said = refused(wanted)
    assert code == 2
    assert "SBX_QUEUE_PARTITION is true" in said
    assert "OC_MODE is live, new runs of the database get replay" in said
    assert "SBX_MODE" not in said
    assert "sisu db migrate" in said
    migrated = CliRunner().invoke(main, ["db", "migrate"], env=wanted)
    assert migrated.exit_code == 0, migrated.output
    with serving_process(wanted) as (url, _):
        assert httpx.get(f"{url}/api/ops/wf").status_code == 200
    conn.execute("update app.queues set partitioned = false where queue_name = 'sbxQ'")
    assert refused(wanted)[0] == 2, "both queues, or neither"


def test_a_database_that_is_not_there_or_not_migrated_is_refused(empty_dsn: str) -> None:
    code, said = refused({"DATABASE_URL": "postgresql://ann:pass@127.0.0.1:1/x", "PORT": "0"})
    assert code == 5, said
    assert "pass" not in said
    code, said = refused({"DATABASE_URL": empty_dsn, "PORT": "0"})
    assert code == 5, said
    assert "sisu db migrate" in said


@contextmanager
def serving_process(
    environment: Mapping[str, str], *words: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A `sisu api` on a free port, killed at the end unless it has left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        sisu_command("api", "--log-json", *words),
        env={**os.environ, **environment, "PORT": str(port)},
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://localhost:{port}"
    try:
        wait_until(lambda: process.poll() is not None or answers(url), "the server's start", 30)
        yield url, process
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/openapi.json").status_code == 200
    except httpx.TransportError:
        return False


def test_it_serves_and_leaves_in_order(dsn: str, conn: psycopg.Connection[Any]) -> None:
    put_recipes(conn)
    be_there(conn)
    environment = {"DATABASE_URL": dsn, "TRACE_BASE_URL": "http://traces/{traceId}?span={spanId}"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin = free.getsockname()[1]
    with serving_process(environment, "--admin-port", str(admin)) as (url, process):
        body = {"goal": "g", "inputs": {}, "constraints": {}}
        run = httpx.post(f"{url}/api/intents", json=body).json()["intentId"]
        header = httpx.post(f"{url}/api/runs", json={"intentId": run}).json()
        assert header["traceUrl"] == f"http://traces/{header['traceId']}?span={run_span_id(run)}"
        assert httpx.get(f"http://localhost:{admin}/readyz").json()["ready"] is True
        assert "sisu_http_requests_total" in httpx.get(f"http://localhost:{admin}/metrics").text

        waiting: list[int] = []
        ask = threading.Thread(
            target=lambda: waiting.append(httpx.get(f"{url}/api/runs/{run}?wait=60", timeout=70).status_code)
        )
        ask.start()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        ask.join(15)
        assert waiting == [200], "who waited was answered"


def test_a_second_signal_leaves_at_once(dsn: str, conn: psycopg.Connection[Any]) -> None:
    with (
        serving_process({"DATABASE_URL": dsn}) as (url, process),
        socket.create_connection(("localhost", int(url.rpartition(":")[2]))) as slow,
    ):
        slow.sendall(b"POST /api/intents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None, "a request is under way"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert time.monotonic() - began < 5


def test_a_token_is_never_logged(dsn: str, conn: psycopg.Connection[Any]) -> None:
    environment = {"DATABASE_URL": dsn, "SISU_TOKENS": f"ann:starter:{SECRET}"}
    with serving_process(environment, "--log-level", "debug") as (url, process):
        for token in (SECRET, "wrong-token-0123456789"):
            head = {"authorization": f"Bearer {token}"}
            httpx.post(f"{url}/api/intents?token={SECRET}", content=b"{", headers=head)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=15)
    assert '"status": 400' in said
    assert '"status": 401' in said
    assert SECRET not in said
    assert "wrong-token" not in said


def test_a_token_is_made(tmp_path: Any) -> None:
    made = CliRunner().invoke(main, ["token", "ann", "--role", "approver", "--role", "operator"])
    assert made.exit_code == 0
    (_, token), (_, entry) = (line.split() for line in made.output.splitlines())
    file = tmp_path / "tokens"
    file.write_text(entry)
    caller = load_tokens(load_config(tokens_file=file)).find(token)
    assert caller is not None
    assert (caller.name, sorted(caller.roles)) == ("ann", ["approver", "operator"])
    assert CliRunner().invoke(main, ["token", "a b", "--role", "viewer"]).exit_code == 2
