"""Traces as a collector gets them from real runners: names, attributes, parents, and who tells of what."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sisu_kodo import database
from sisu_kodo.client import Client
from sisu_kodo.config import Config
from sisu_kodo.pump import Pump
from sisu_kodo.registry import load_all
from sisu_kodo.telemetry.spans import attempt_span_id, run_span_id
from tests.integration.runner_support import (
    execute,
    put,
    scalar,
    short_leases,
    start,
    statuses,
    wait_for_status,
    wait_until,
)
from tests.telemetry.receiver import Receiver, receiving
from tests.telemetry.telemetry_support import (
    FIRST,
    HANDLERS,
    SECOND,
    assert_connected,
    events_in,
    root_of,
    run_until_idle,
    steps_of,
    tracing_runner,
)

Database = psycopg.Connection[Any]


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def _begun(marks: Path, count: int = 1) -> None:
    wait_until(lambda: len(list(marks.glob("begun-*"))) >= count, f"{count} handlers begun")


def test_a_run_its_steps_and_their_attributes(dsn: str, client: Client, receiver: Receiver) -> None:
    put(client, {"handler": "test/noop"}, {"handler": "trace/say-sync"}, {"handler": "trace/transactional"})
    run_id = start(client, "the goal is secret")
    run_until_idle(dsn, receiver.url)
    header = client.run(run_id)
    root, steps = root_of(receiver, run_id), steps_of(receiver, run_id)
    assert receiver.paths == {"/v1/traces"}
    assert root.name == "run test" and root.trace_id == header["traceId"] and not root.parent_id
    assert root.attributes == {
        "workflowID": run_id,
        "workflowName": "test",
        "recipe.version": 1,
        "run.status": "SUCCESS",
    }
    assert root.resource["service.name"] == "sisu-kodo"
    assert root.resource["service.version"] == header["appVersion"]
    assert root.resource["service.instance.id"] == FIRST
    assert list(steps) == [("S0", 1, ""), ("S1", 1, ""), ("S2", 1, "")]
    first = steps["S0", 1, ""]
    assert first.attributes.pop("messaging.message.id").isdigit()
    assert first.attributes == {
        "workflowID": run_id,
        "step.functionID": "S0",
        "step.index": 0,
        "step.status": "SUCCESS",
        "attempt": 1,
        "messaging.system": "pgmq",
        "messaging.destination.name": "intentQ",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.client.id": FIRST,
    }
    assert (first.kind, root.kind, first.is_error, root.is_error) == ("consumer", "internal", False, False)
    assert all(span.parent_id == root.span_id for span in steps.values())
    assert root.start <= first.start <= first.end <= steps["S1", 1, ""].start
    stored = [(step["stepID"], step["traceId"], step["spanId"]) for step in client.steps(run_id)]
    assert stored == [(name, span.trace_id, span.span_id) for (name, _, _), span in steps.items()]
    assert len(receiver.spans) == 4
    assert "secret" not in repr(receiver.spans)


def test_a_failure_and_its_retry(dsn: str, client: Client, receiver: Receiver) -> None:
    put(client, {"handler": "trace/fail", "retry": {"maxAttempts": 2}})
    good, bad = start(client, "good", again=True), start(client, "bad")
    run_until_idle(dsn, receiver.url)
    steps = steps_of(receiver, good)
    assert [(at, span.is_error) for at, span in steps.items()] == [
        (("S0", 1, ""), True),
        (("S0", 2, ""), False),
    ]
    assert steps["S0", 1, ""].attributes["error.type"] == "no_luck"
    assert steps["S0", 1, ""].message == "no_luck: cannot reach postgresql://ann:***@db/x"
    assert not root_of(receiver, good).is_error
    root = root_of(receiver, bad)
    assert root.is_error and root.message.startswith("no_luck: ") and "hunter2" not in root.message
    assert root.attributes["run.status"] == "ERROR"
    assert_connected(receiver.of(bad), client.run(bad)["traceId"])


def test_tasks_are_children_of_their_step(dsn: str, client: Client, receiver: Receiver) -> None:
    fan = {"queue": "sbxQ", "handler": "test/noop", "maxTasks": 9}
    put(client, {"handler": "test/plan", "fanOut": fan}, {"handler": "test/noop"})
    run_id = start(client, tasks=3)
    run_until_idle(dsn, receiver.url, "--queue=intentQ", "--queue=sbxQ")
    root, steps = root_of(receiver, run_id), steps_of(receiver, run_id)
    parent = steps["S0", 1, ""]
    tasks = {key: span for (_, _, key), span in steps.items() if key}
    assert len(tasks) == 3 and parent.parent_id == root.span_id
    for key, span in tasks.items():
        assert (span.name, span.parent_id, span.kind) == ("S0 task", parent.span_id, "consumer")
        assert span.attributes["messaging.destination.name"] == "sbxQ"
        assert parent.end >= span.end - 50_000_000, "the step ends with the last of its tasks"
        stored = next(step for step in client.steps(run_id) if step.get("taskKey") == key)
        assert stored["spanId"] == span.span_id
    assert client.steps(run_id)[0]["spanId"] == parent.span_id
    assert_connected(receiver.of(run_id), client.run(run_id)["traceId"])
    assert len(receiver.of(run_id)) == 6


@pytest.mark.parametrize("second", [FIRST, SECOND], ids=["itself", "another"])
def test_a_kill_in_a_step_leaves_one_connected_trace(
    dsn: str, client: Client, receiver: Receiver, tmp_path: Path, second: str
) -> None:
    """By the same worker restarted, and by another; the attempt that was lost is told, too."""
    short_leases(dsn)
    put(client, {"handler": "test/noop"}, {"handler": "test/hold"}, {"handler": "test/noop"})
    run_id = start(client, marks=str(tmp_path))
    with tracing_runner(dsn, receiver.url) as process:
        _begun(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with tracing_runner(dsn, receiver.url, name=second):
        _begun(tmp_path, 2)
        (tmp_path / "go").touch()
        root = root_of(receiver, run_id)
    spans, steps = receiver.of(run_id), steps_of(receiver, run_id)
    assert sorted(steps) == [("S0", 1, ""), ("S1", 1, ""), ("S1", 2, ""), ("S2", 1, "")]
    lost, again = steps["S1", 1, ""], steps["S1", 2, ""]
    assert lost.is_error and lost.attributes["error.type"] == "lease_expired"
    assert lost.parent_id == again.parent_id == root.span_id == run_span_id(run_id)
    workers = [span.attributes["messaging.client.id"] for span in (lost, again)]
    assert workers == [FIRST, second]
    assert lost.span_id == attempt_span_id(run_id, 1, "", 1) != again.span_id
    assert again.span_id == client.steps(run_id)[1]["spanId"]
    assert_connected(spans, client.run(run_id)["traceId"])


def test_a_step_that_waits_is_one_span(dsn: str, client: Client, receiver: Receiver) -> None:
    """Of a handler that waits for a human, over two workers: from its beginning, with its checkpoints."""
    put(client, {"handler": "trace/checkpoints"})
    run_id = start(client)
    run_until_idle(dsn, receiver.url)
    assert client.run(run_id)["status"] == "WAITING_INPUT" and receiver.of(run_id) == []
    client.reply_gate(run_id, "ok", {}, "once", "ann")
    run_until_idle(dsn, receiver.url, name=SECOND)
    (span,) = steps_of(receiver, run_id).values()
    began = client.steps(run_id)[0]["startedAt"]
    assert span.start // 1_000_000 == began and span.span_id == client.steps(run_id)[0]["spanId"]
    assert [facts for _, facts in span.events] == [{"seq": 2, "kind": "step", "name": "second"}]
    root = root_of(receiver, run_id)
    assert [name for name, _ in root.events] == ["gate.opened", "gate.answered"]
    assert "secret" not in repr(receiver.spans)


def test_a_fork_is_linked_to_its_source(dsn: str, client: Client, receiver: Receiver) -> None:
    put(client, {"handler": "test/noop"}, {"handler": "test/noop"})
    source = start(client)
    run_until_idle(dsn, receiver.url)
    forked = client.fork(source, 1, "ann", "again")["forkedWorkflowID"]
    run_until_idle(dsn, receiver.url)
    origin, root = root_of(receiver, source), root_of(receiver, forked)
    assert root.links == [(origin.trace_id, origin.span_id, {"workflowID": source})]
    assert root.trace_id == client.run(forked)["traceId"] != origin.trace_id
    assert list(steps_of(receiver, forked)) == [("S1", 1, "")], "what was reused did not run"
    cached = client.steps(forked)[0]
    assert (cached["traceId"], cached["spanId"]) == (origin.trace_id, client.steps(source)[0]["spanId"])


def test_a_run_that_is_resumed_goes_on_in_its_trace(
    dsn: str, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    put(client, {"handler": "test/hold"}, {"handler": "test/noop"})
    run_id = start(client, marks=str(tmp_path))
    with tracing_runner(dsn, receiver.url):
        _begun(tmp_path)
        client.control("cancel", run_id, "ann", "stop")
        first = root_of(receiver, run_id)
        wait_until(lambda: ("S0", 1, "") in steps_of(receiver, run_id), "the step in flight")
        client.control("resume", run_id, "ann", "go on")
        wait_for_status(client, run_id, "SUCCESS")
        second = root_of(receiver, run_id, count=2)
    assert (first.attributes["run.status"], second.attributes["run.status"]) == ("CANCELLED", "SUCCESS")
    assert (first.name, second.name, first.is_error) == ("run test", "run test (again)", False)
    assert second.parent_id == first.span_id != second.span_id
    assert {span.parent_id for span in steps_of(receiver, run_id).values()} == {first.span_id}
    assert_connected(receiver.of(run_id), client.run(run_id)["traceId"])


def test_runs_that_end_without_a_worker(dsn: str, client: Client, receiver: Receiver, conn: Database) -> None:
    """By a cancel, a timeout, a no, a sleep: while no runner is there, and told by the next one."""
    gate = {"key": "ok", "kind": "approval"}
    put(client, {"handler": "test/noop"}, {"handler": "test/noop", "gate": gate})
    put(client, {"sleep": {"ms": 60_000}}, name="nap")
    runs = {each: start(client, each) for each in ("cancelled", "rejected", "timed out")}
    run_until_idle(dsn, receiver.url)
    nap = start(client, "nap", name="nap")
    intent = client.create_intent({"goal": "late", "inputs": {}, "constraints": {}})
    late = client.start_run(intent["intentId"], recipeName="nap", timeoutMS=1000)["workflowID"]
    client.control("cancel", runs["cancelled"], "ann", "stop")
    client.reply_gate(runs["rejected"], "ok", {"decision": "no"}, "once", "ann")
    conn.execute("select app.advance('61 seconds'), app.recover()")
    run_until_idle(dsn, receiver.url, name=SECOND)
    ended = {runs["cancelled"]: "CANCELLED", runs["rejected"]: "ERROR", late: "ERROR", nap: "SUCCESS"}
    for run_id, status in ended.items():
        root = root_of(receiver, run_id)
        assert (root.attributes["run.status"], root.is_error) == (status, status == "ERROR"), root
        assert_connected(receiver.of(run_id), client.run(run_id)["traceId"])
    assert root_of(receiver, runs["rejected"]).attributes["error.type"] == "gate_rejected"
    assert root_of(receiver, late).attributes["error.type"] == "run_timeout"
    sleep = steps_of(receiver, nap)["S0", 1, ""]
    assert sleep.kind == "internal" and "messaging.system" not in sleep.attributes
    assert scalar(conn, "select count(*) from app.run_ends") == 0


def test_a_cancelled_run_whose_worker_was_lost(
    dsn: str, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    short_leases(dsn)
    put(client, {"handler": "test/hold"})
    run_id = start(client, marks=str(tmp_path))
    with tracing_runner(dsn, receiver.url) as process:
        _begun(tmp_path)
        process.kill()
        process.wait()
    client.control("cancel", run_id, "ann", "stop")
    with tracing_runner(dsn, receiver.url, name=SECOND):
        wait_until(lambda: ("S0", 1, "") in steps_of(receiver, run_id), "the attempt that was lost")
    assert steps_of(receiver, run_id)["S0", 1, ""].attributes["step.status"] == "CANCELLED"
    assert_connected(receiver.of(run_id), client.run(run_id)["traceId"])


def test_a_fenced_attempt_is_not_told_as_done(
    dsn: str, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    """The worker was stopped beyond its lease: its late result is refused, and so is its story of it."""
    short_leases(dsn)
    put(client, {"handler": "test/hold"})
    run_id = start(client, marks=str(tmp_path))
    with tracing_runner(dsn, receiver.url) as process:
        _begun(tmp_path)
        process.send_signal(signal.SIGSTOP)
        with tracing_runner(dsn, receiver.url, name=SECOND):
            _begun(tmp_path, 2)
            (tmp_path / "go").touch()
            root_of(receiver, run_id)
            process.send_signal(signal.SIGCONT)
            process.terminate()
            assert process.wait(20) == 0
    assert [span.is_error for span in receiver.of(run_id) if span.attributes.get("attempt") == 1] == [True]
    assert_connected(receiver.of(run_id), client.run(run_id)["traceId"])


def test_a_commit_whose_answer_is_lost_is_told(
    dsn: str, client: Client, receiver: Receiver, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again and refused, because it was committed."""
    put(client, {"handler": "test/noop"})
    run_id = start(client)
    traced = config.model_copy(update={"enable_otlp": True, "otlp_traces_endpoint": receiver.url})
    work = Pump._work
    cut: list[list[str]] = []

    async def losing(self: Pump, connection: Any, results: list[str], want: Any) -> Any:
        rows = await work(self, connection, results, want)
        if results and not cut:
            cut.append(results)
            await connection.close()
            raise psycopg.OperationalError("the answer is lost")
        return rows

    monkeypatch.setattr(Pump, "_work", losing)
    assert execute(dsn, traced, load_all([HANDLERS]), name=FIRST) == 0
    assert len(cut) == 1 and statuses(client, run_id) == [("S0", "SUCCESS", 1)]
    root_of(receiver, run_id)
    assert list(steps_of(receiver, run_id)) == [("S0", 1, "")]


def test_who_does_not_trace_is_told_by_who_does(dsn: str, client: Client, receiver: Receiver) -> None:
    put(client, {"handler": "test/noop"}, {"handler": "test/noop", "gate": {"key": "ok", "kind": "input"}})
    run_until_idle(dsn, receiver.url)
    run_id = start(client)
    run_until_idle(dsn, None, name=SECOND)
    assert client.steps(run_id)[0]["spanId"] is None
    client.reply_gate(run_id, "ok", {}, "once", "ann")
    run_until_idle(dsn, receiver.url)
    spans = steps_of(receiver, run_id)
    clients = [spans[name, 1, ""].attributes["messaging.client.id"] for name in ("S0", "S1")]
    assert clients == [SECOND, FIRST]
    assert_connected(receiver.of(run_id), client.run(run_id)["traceId"])


def test_spans_of_a_handler_are_children_of_its_step(dsn: str, client: Client, receiver: Receiver) -> None:
    put(client, {"handler": "trace/own-span"})
    run_id = start(client)
    run_until_idle(dsn, receiver.url)
    root_of(receiver, run_id)
    (own,) = [span for span in receiver.spans if span.name == "library call"]
    step = steps_of(receiver, run_id)["S0", 1, ""]
    assert (own.trace_id, own.parent_id) == (step.trace_id, step.span_id)
    assert own.resource["service.name"] == "sisu-kodo"


def test_logs_within_a_step_name_its_span(
    dsn: str, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    put(client, {"handler": "trace/say"}, {"handler": "trace/say-sync"}, {"handler": "trace/missing"})
    run_id, log = start(client), tmp_path / "log"
    run_until_idle(dsn, receiver.url, log=log)
    steps = steps_of(receiver, run_id)
    said = [(event["trace_id"], event["span_id"]) for event in events_in(log, "said")]
    assert said == [(steps[name, 1, ""].trace_id, steps[name, 1, ""].span_id) for name in ("S0", "S1")]
    (missing,) = events_in(log, "handler.missing")
    assert missing["span_id"] == steps["S2", 1, ""].span_id
    assert "span_id" not in events_in(log, "runner.left")[0]


def test_it_is_off_by_default(
    dsn: str, client: Client, receiver: Receiver, conn: Database, tmp_path: Path
) -> None:
    put(client, {"handler": "test/noop"})
    run_id, log = start(client), tmp_path / "log"
    environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.url}
    run_until_idle(dsn, None, log=log, environment=environment)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1)]
    assert receiver.requests == 0 and client.steps(run_id)[0]["spanId"] is None
    assert scalar(conn, "select count(*) from app.run_ends") == 0


def test_a_database_that_is_older_is_no_reason_not_to_run(
    dsn: str, client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    with database.connect(dsn) as owner:
        owner.execute("drop function app.take_ends(integer)")
    put(client, {"handler": "test/noop"})
    run_id, log = start(client), tmp_path / "log"
    run_until_idle(dsn, receiver.url, log=log)
    assert client.run(run_id)["status"] == "SUCCESS" and len(steps_of(receiver, run_id)) == 1
    assert len(events_in(log, "telemetry.ends")) == 1
