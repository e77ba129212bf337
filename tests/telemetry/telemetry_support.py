"""What the tests of traces share: runners that send them, and what to look for."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sisu_kodo.cli.processes import start_runner
from tests.integration.runner_support import ROOT, wait_until
from tests.telemetry.receiver import Received, Receiver

HANDLERS = "tests.telemetry.telemetry_handlers"
FIRST, SECOND = f"traced-{os.getpid()}-a", f"traced-{os.getpid()}-b"
"""Names of runners: unique on this machine."""


@contextmanager
def tracing_runner(
    dsn: str,
    endpoint: str | None,
    *arguments: str,
    name: str = FIRST,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """`sisu runner` with DBOS_ENABLE_OTLP and this endpoint (None: without telemetry); killed at the end."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    telemetry: dict[str, str] = {}
    if endpoint is not None:
        telemetry = {"DBOS_ENABLE_OTLP": "true", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}
    words = ["--import", HANDLERS, "--name", name, "--heartbeat", "0.3", "--log-json", *arguments]
    with (log or Path(os.devnull)).open("w", encoding="utf-8") as file:
        process = start_runner(
            words, {"DATABASE_URL": dsn, "PYTHONPATH": path, **telemetry, **(environment or {})}, file
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def run_until_idle(dsn: str, endpoint: str | None, *arguments: str, **options: Any) -> None:
    """A runner that leaves when nothing is left to do."""
    with tracing_runner(dsn, endpoint, "--until-idle", *arguments, **options) as process:
        assert process.wait(60) == 0


def root_of(receiver: Receiver, run_id: str, count: int = 1) -> Received:
    """The last of the spans of the run itself, once there are so many."""

    def found() -> list[Received] | None:
        roots = [span for span in receiver.of(run_id) if "run.status" in span.attributes]
        return roots if len(roots) >= count else None

    roots: list[Received] = wait_until(found, f"the span of {run_id}")
    return roots[-1]


def steps_of(receiver: Receiver, run_id: str) -> dict[tuple[str, int, str], Received]:
    """The attempts of a run by (step id, attempt, task key)."""
    found: dict[tuple[str, int, str], Received] = {}
    for span in receiver.of(run_id):
        told = span.attributes
        if "step.functionID" in told:
            found[told["step.functionID"], told["attempt"], told.get("taskKey", "")] = span
    return found


def assert_connected(spans: list[Received], trace_id: str) -> None:
    """One trace, one root, every parent is there, and no span was sent in two versions."""
    assert {span.trace_id for span in spans} == {trace_id}
    ids = {span.span_id for span in spans}
    assert len({span.span_id for span in spans if not span.parent_id}) == 1
    assert {span.parent_id for span in spans} <= ids | {""}
    told = {(span.span_id, span.name, span.parent_id, span.is_error) for span in spans}
    assert len(told) == len(ids)


def events_in(log: Path, action: str) -> list[dict[str, Any]]:
    """The events of a runner's log with this action."""
    lines = [
        json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")
    ]
    return [line for line in lines if line["action"] == action]
