"""Walkthrough F: a run of compile-default in the collector, by its link and the names of the manual."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sisu_kodo.client import Client
from tests.e2e.e2e_support import sisu, sisu_json, start_intent
from tests.telemetry.receiver import Receiver, receiving
from tests.telemetry.telemetry_support import FIRST, SECOND, assert_connected, root_of, steps_of

VIEWER = "http://viewer:16686/trace/{traceId}?span={spanId}"


@pytest.fixture
def receiver(operator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as one:
        monkeypatch.setenv("DBOS_ENABLE_OTLP", "true")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", one.url)
        monkeypatch.setenv("TRACE_BASE_URL", VIEWER)
        yield one


def test_walkthrough_f(client: Client, receiver: Receiver, recordings: Path) -> None:
    run_id = start_intent(recordings, "audit", tasks=2)
    sisu("runner", "--until-idle", "--name", FIRST)
    shown = sisu_json("show", run_id)["run"]
    assert shown["status"] == "WAITING_INPUT"
    assert {at for at, _, _ in steps_of(receiver, run_id)} == {"CompileST", "ApplyPatchST"}
    sisu("approve", run_id, "--by", "ann")
    sisu("runner", "--until-idle", "--name", SECOND)
    root, steps = root_of(receiver, run_id), steps_of(receiver, run_id)
    assert shown["traceUrl"] == f"http://viewer:16686/trace/{root.trace_id}?span={root.span_id}"
    assert f"trace: {shown['traceUrl']}" in sisu("show", run_id)
    assert sisu_json("list")["runs"][0]["traceUrl"] == shown["traceUrl"]
    own = {at: span for at, span in steps.items() if not at[2]}
    assert sorted(own) == [(f"{name}ST", 1, "") for name in ("ApplyPatch", "Compile", "Decide", "Execute")]
    tasks = [span for at, span in steps.items() if at[2]]
    assert len(tasks) == 2 and {span.parent_id for span in tasks} == {own["ExecuteST", 1, ""].span_id}
    for span in steps.values():
        assert span.attributes["workflowID"] == run_id and span.attributes["attempt"] == 1
        assert span.attributes["messaging.destination.partition.id"] == "ui-default"
    assert [name for name, _ in root.events] == ["gate.opened", "gate.answered"]
    assert [span.resource["service.instance.id"] for span in own.values()] == [FIRST, FIRST, SECOND, SECOND]
    assert_connected(receiver.of(run_id), shown["traceId"])


def test_without_a_viewer_there_is_no_link(client: Client, recordings: Path) -> None:
    run_id = start_intent(recordings, "no viewer", tasks=1)
    assert sisu_json("show", run_id)["run"]["traceUrl"] is None
    assert "trace:" not in sisu("show", run_id)
