"""The soak with telemetry on: whatever is killed, every run has one connected trace, told in one version."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.soak.play import Options, soak
from tests.telemetry.receiver import Received, receiving
from tests.telemetry.telemetry_support import assert_connected, run_until_idle


def test_every_trace_is_connected_whatever_was_killed(
    dsn: str, conn: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("DBOS_ENABLE_OTLP", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.url)
        report = soak(dsn, tmp_path, Options(rounds=1, seed=1, patience=40.0))
        assert report.findings == []
        conn.execute("update app.run_ends set taken_at = null")  # what a killed runner had taken
        run_until_idle(dsn, receiver.url)
    runs = conn.execute("select trace_id, run_id, status from app.runs").fetchall()
    traces: dict[str, list[Received]] = defaultdict(list)
    for span in receiver.spans:
        traces[span.trace_id].append(span)
    assert set(traces) == {trace_id for trace_id, _, _ in runs}
    for trace_id, run_id, status in runs:
        spans = traces[trace_id]
        assert_connected(spans, trace_id)
        assert status in {span.attributes.get("run.status") for span in spans}, (run_id, status)
        told = {
            (span.attributes["step.index"], span.attributes.get("taskKey", ""), span.attributes["attempt"])
            for span in spans
            if "attempt" in span.attributes
        }
        # whoever reported the others may have been killed before it could tell
        untold = conn.execute(
            "select idx, task_key, attempt from app.run_steps where run_id = %s and started_at is not null"
            " and ended_at is not null and cached_from is null"
            " and (span_id is null or tasks_open is not null)",
            (run_id,),
        ).fetchall()
        assert told >= set(untold), (run_id, set(untold) - told)
