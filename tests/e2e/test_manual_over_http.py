"""The manual's commands, as written but for their quoting, by curl in a shell against `sisu dev`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from sisu_kodo.cli.processes import sisu_command
from tests.integration.runner_support import scalar, short_leases, wait_until

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

# A shell without jq gets the part of it that the manual uses.
PRELUDE = r"""
set -euo pipefail
command -v jq >/dev/null ||
  jq() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1][1:]])' "$2"; }
"""


class Dev:
    """A `sisu dev` in the background, with what it has said so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> str:
        return self._log.read_text()

    def part(self, command: str) -> psutil.Process:
        """The process of `sisu COMMAND` that this one started."""
        (found,) = (
            child
            for child in psutil.Process(self.process.pid).children()
            if f"sisu {command}" in " ".join(child.cmdline())
        )
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def ports(operator: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """PORT and ADMIN_PORT, in the environment of the manual."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        found = one.getsockname()[1], other.getsockname()[1]
    monkeypatch.setenv("PORT", str(found[0]))
    monkeypatch.setenv("ADMIN_PORT", str(found[1]))
    monkeypatch.setenv("SBX_QUEUE_PARTITION", "true")
    return found


@contextmanager
def dev(log: Path) -> Iterator[Dev]:
    """`sisu dev` until the end of the block; whatever is left of it is killed."""
    with log.open("wb") as out:
        process = subprocess.Popen(sisu_command("dev"), stdout=out, stderr=out, env=os.environ)
    running = Dev(process, log)
    parts: list[psutil.Process] = []
    try:
        wait_until(lambda: "Ctrl-C stops" in running.said() or process.poll() is not None, "sisu dev", 60)
        parts = psutil.Process(process.pid).children() if process.poll() is None else []
        yield running
    finally:
        if process.poll() is None:
            running.stop()
        for part in parts:
            if part.is_running():
                part.kill()


def shell(script: str, **variables: str) -> str:
    """What a script prints in bash; fails when it does."""
    done = subprocess.run(
        ["bash", "-c", PRELUDE + script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def test_the_manual(
    operator: str, ports: tuple[int, int], conn: psycopg.Connection[Any], tmp_path: Path
) -> None:
    short_leases(operator)
    url = f"http://localhost:{ports[0]}"
    with dev(tmp_path / "first.log") as first, ExitStack() as later:
        run = golden_path(url)
        other = survival(url, run, first, lambda: later.enter_context(dev(tmp_path / "second.log")))
        assert scalar(conn, "select array_agg(seen_count) from app.mock_receipts where run_id = %s", run) == [
            1
        ]
        policy(url, conn)
        cancel_and_resume(url, conn)
        fork(url, run)
        sleep(url, conn)
        assert httpx.get(f"http://localhost:{ports[1]}/readyz").json()["ready"] is True
        assert other.stop() == 0
        assert httpx.get(f"{url}/api/runs/{run}").status_code == 200, "the second stops only what it started"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://localhost:{ports[1]}/healthz")
        assert first.stop() == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/api/runs/{run}")
    assert conn.execute("select * from app.v_invariants").fetchall() == []


INTENT = """
INTENT=$(curl -s -X POST $URL/api/intents -d '{"goal":"demo","inputs":{},"constraints":{}}' | jq -r .intentId)
"""
RUN = r"""
RUN=$(curl -s -X POST $URL/api/runs \
  -d "{\"intentId\":\"$INTENT\",\"recipeName\":\"compile-default\",\"queuePartitionKey\":\"ui-default\"}" \
  | jq -r .workflowID)
echo $RUN
"""
WITHOUT_KEY = r"""
curl -s -i -X POST $URL/api/runs -d "{\"intentId\":\"$INTENT\"}"
"""
FORK = """
curl -s -X POST $URL/api/ops/wf/$WID/fork -d '{"stepN":2,"actor":"fde","reason":"patch-applied"}' \
  | jq -r .forkedWorkflowID
"""
CANCEL = """curl -sf -X POST $URL/api/ops/wf/$WID/cancel -d '{"actor":"fde","reason":"stalled"}'"""
RESUME = """curl -sf -X POST $URL/api/ops/wf/$WID/resume -d '{"actor":"fde","reason":"go on"}'"""


def golden_path(url: str) -> str:
    run = shell(INTENT + RUN, URL=url)
    wait_for(url, run, "WAITING_INPUT")
    assert httpx.get(f"{url}/api/runs/{run}").json()["nextAction"] == "APPROVE_PLAN"
    kinds = [
        a["kind"] for a in httpx.get(f"{url}/api/runs/{run}/artifacts").json() if a["stepID"] == "CompileST"
    ]
    assert kinds[0] == "artifact_index"
    return run


def survival(url: str, run: str, first: Dev, again: Callable[[], Dev]) -> Dev:
    """Walkthrough A: what `pkill -f 'sisu runner'` finds is killed, another `sisu dev` starts just that."""
    assert "sisu runner" not in " ".join(first.part("api").cmdline())
    first.part("runner").kill()
    wait_until(lambda: "runner    ended with" in first.said(), "the first notices")
    assert httpx.get(f"{url}/api/runs/{run}").status_code == 200, "the page stays up"
    other = again()
    assert "api       is up" in other.said()
    assert "runner    started" in other.said()
    done = subprocess.run(sisu_command("dev"), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "everything is up already" in done.stdout) == (0, True), (
        done.stdout + done.stderr
    )
    shell(f"""curl -sf -X POST {url}/api/runs/{run}/approve-plan -d '{{"approvedBy":"po"}}'""")
    wait_for(url, run, "SUCCESS")
    return other


def policy(url: str, conn: psycopg.Connection[Any]) -> None:
    """Walkthrough B."""
    before = scalar(conn, "select count(*) from app.runs")
    answer = shell(INTENT.replace("demo", "demo B") + WITHOUT_KEY, URL=url)
    assert answer.startswith("HTTP/1.1 400")
    assert "queue_policy_violation" in answer
    assert scalar(conn, "select count(*) from app.runs") == before


def cancel_and_resume(url: str, conn: psycopg.Connection[Any]) -> None:
    """Walkthrough C."""
    run = start(url, "demo C")
    wait_for(url, run, "WAITING_INPUT")
    shell(CANCEL, URL=url, WID=run)
    assert httpx.get(f"{url}/api/runs/{run}").json()["status"] == "CANCELLED"
    audit = "SELECT inline->>'op' FROM app.artifacts WHERE step_id='OPS' AND run_id = %s"
    assert conn.execute(audit.encode(), [run]).fetchall() == [("cancel",)]
    shell(RESUME, URL=url, WID=run)
    wait_for(url, run, "WAITING_INPUT")


def fork(url: str, run: str) -> None:
    """Walkthrough D."""
    forked = shell(FORK, URL=url, WID=run)
    assert forked == f"{run}-f1"
    steps = {
        step["stepID"]: step["cachedFrom"] for step in httpx.get(f"{url}/api/runs/{forked}/steps").json()
    }
    assert (steps["CompileST"], steps["ApplyPatchST"]) == (run, run)
    wait_for(url, forked, "SUCCESS")


def sleep(url: str, conn: psycopg.Connection[Any]) -> None:
    """Walkthrough E, shorter."""
    shell(f"curl -sf -X POST '{url}/api/ops/sleep?wf=sleep_1&sleep=2000'")
    wait_for(url, "sleep_1", "SUCCESS")
    steps = conn.execute("SELECT step_id FROM app.artifacts WHERE run_id='sleep_1' ORDER BY 1").fetchall()
    assert steps == [("sleep-after-sleep",), ("sleep-before-sleep",)]


def start(url: str, goal: str) -> str:
    intent = {"goal": goal, "inputs": {}, "constraints": {}}
    run = str(httpx.post(f"{url}/api/intents", json=intent).json()["intentId"])
    httpx.post(
        f"{url}/api/runs", json={"intentId": run, "queuePartitionKey": "ui-default"}
    ).raise_for_status()
    return run


def wait_for(url: str, run: str, status: str) -> None:
    """Wait, by long polls, until the run has this status."""
    wait_until(
        lambda: httpx.get(f"{url}/api/runs/{run}?wait=2", timeout=30).json()["status"] == status,
        f"{run} {status}",
    )
