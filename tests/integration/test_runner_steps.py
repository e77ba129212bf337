"""A runner in this process: what handlers may do, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest

from sisu_kodo import Artifact, Registry, StepContext, StepError, StepResult
from sisu_kodo.client import Client
from sisu_kodo.config import Config
from sisu_kodo.connections import Connection
from sisu_kodo.worker import RunnerOptions, Worker
from tests.integration.runner_support import execute, put, scalar, start, start_many, statuses, wait_until

Database = psycopg.Connection[Any]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


def test_steps_run_in_order_and_see_the_outputs_before_them(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("a")
    async def first(ctx: StepContext) -> int:
        return int(ctx.intent["inputs"]["n"]) + 1

    @registry.handler("b")
    def second(ctx: StepContext) -> StepResult:
        assert ctx.oc_mode and ctx.sbx_mode and ctx.recipe.name == "test" and not ctx.cancelled()
        return StepResult(
            ctx.outputs["S0"] * 2, [Artifact("note", "n.txt", body=b"hello", media_type="text/plain")]
        )

    @registry.handler("c")
    async def third(ctx: StepContext) -> dict[str, int]:
        return dict(ctx.outputs)

    put(client, {"handler": "a"}, {"handler": "b"}, {"handler": "c"})
    run_id = start(client, n=1)
    assert execute(dsn, config, registry) == 0
    assert client.run(run_id)["status"] == "SUCCESS"
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "SUCCESS", 1), ("S2", "SUCCESS", 1)]
    (note,) = [each for each in client.artifacts(run_id) if each["kind"] == "note"]
    assert client.artifact(note["artifactId"]).body == b"hello"
    assert {each["kind"] for each in client.artifacts(run_id)} == {"note", "none"}


def test_many_runs_finish_and_no_step_runs_twice(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    seen: list[tuple[str, int]] = []

    @registry.handler("count")
    async def count(ctx: StepContext) -> None:
        seen.append((ctx.run_id, ctx.idx))

    put(client, *[{"handler": "count"}] * 4)
    ids = start_many(client, 300)
    assert execute(dsn, config, registry) == 0
    assert sorted(seen) == sorted((run_id, idx) for run_id in ids for idx in range(4))
    assert scalar(conn, "select count(*) from app.runs where status = 'SUCCESS'") == 300


def test_sync_handlers_run_side_by_side(dsn: str, config: Config, client: Client, registry: Registry) -> None:
    together = threading.Barrier(4, timeout=20)

    @registry.handler("meet")
    def meet(ctx: StepContext) -> str:
        together.wait()
        return threading.current_thread().name

    put(client, {"handler": "meet"})
    ids = start_many(client, 4)
    assert execute(dsn, config, registry) == 0
    assert {client.run(run_id)["status"] for run_id in ids} == {"SUCCESS"}


def test_a_retryable_error_is_tried_again_and_an_unretryable_one_is_not(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("flaky")
    async def flaky(ctx: StepContext) -> int:
        if ctx.attempt < 3:
            raise StepError("infra_failure", "not yet", details={"attempt": ctx.attempt})
        return ctx.attempt

    @registry.handler("wrong")
    def wrong(ctx: StepContext) -> None:
        raise StepError("infra_failure", "never", retryable=False)

    retry = {"maxAttempts": 3, "backoff": {"initialMS": 0}, "retryableCodes": ["infra_failure"]}
    put(client, {"handler": "flaky", "retry": retry}, {"handler": "wrong", "retry": retry})
    run_id = start(client)
    assert execute(dsn, config, registry) == 0
    header = client.run(run_id)
    assert (header["status"], header["nextAction"]) == ("ERROR", "REPAIR")
    assert (header["error"]["code"], header["error"]["message"]) == ("infra_failure", "never")
    assert statuses(client, run_id) == [("S0", "SUCCESS", 3), ("S1", "ERROR", 1)]


def test_any_other_exception_is_a_handler_error_without_a_traceback(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("broken")
    async def broken(ctx: StepContext) -> None:
        raise LookupError("no such thing")

    put(client, {"handler": "broken"})
    run_id = start(client)
    execute(dsn, config, registry)
    error = client.run(run_id)["error"]
    assert (error["code"], error["message"]) == ("handler_error", "LookupError: no such thing")


def test_whatever_a_handler_raises_its_attempt_ends(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("cancels")
    async def cancels(ctx: StepContext) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        inner.cancel()
        await inner

    @registry.handler("leaves")
    def leaves(ctx: StepContext) -> None:
        raise SystemExit(3)

    @registry.handler("passes-on")
    async def passes_on(ctx: StepContext) -> None:
        raise StepError("broken", cast(str, ValueError("no text")))

    names = ["cancels", "leaves", "passes-on"]
    for name in names:
        put(client, {"handler": name}, name=name)
    runs = [start(client, goal=name, name=name) for name in names]
    assert execute(dsn, config, registry) == 0
    errors = [client.run(run_id)["error"] for run_id in runs]
    assert [error["code"] for error in errors] == ["handler_error", "handler_error", "broken"]
    assert errors[2]["message"] == "no text"


def test_an_unknown_handler_ends_the_run(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    put(client, {"handler": "nobody/home", "retry": {"maxAttempts": 5}})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "handler_not_found"
    assert statuses(client, run_id) == [("S0", "ERROR", 1)]


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_an_attempt_that_takes_too_long_ends_as_timeout(
    dsn: str, config: Config, client: Client, registry: Registry, kind: str
) -> None:
    told = threading.Event()

    if kind == "async":

        @registry.handler("sleepy")
        async def sleeps(ctx: StepContext) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                told.set()
    else:

        @registry.handler("sleepy")
        def blocks(ctx: StepContext) -> None:
            assert ctx.deadline is not None and ctx.deadline > time.monotonic() - 1
            wait_until(ctx.cancelled, "the cancelled flag")
            told.set()

    put(client, {"handler": "sleepy", "timeoutMS": 50})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "timeout"
    assert told.wait(10)


def test_a_fan_out_runs_its_tasks_and_joins_them(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    @registry.handler("split")
    def split(ctx: StepContext) -> StepResult:
        return StepResult("split", tasks=[{"n": n} for n in range(5)])

    @registry.handler("square")
    async def square(ctx: StepContext) -> StepResult:
        assert ctx.task is not None and ctx.task_key
        return StepResult(ctx.task["n"] ** 2, receipt=True)

    @registry.handler("after")
    async def after(ctx: StepContext) -> Any:
        return ctx.outputs["S0"]

    put(client, {"handler": "split", "fanOut": {"queue": "sbxQ", "handler": "square"}}, {"handler": "after"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "SUCCESS"
    tasks = [step for step in client.steps(run_id) if step.get("taskKey")]
    assert [task["status"] for task in tasks] == ["SUCCESS"] * 5
    assert (
        scalar(conn, "select array_agg(seen_count) from app.mock_receipts where run_id = %s", run_id)
        == [1] * 5
    )


def test_a_gate_stops_the_run_until_it_is_answered(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("note")
    async def note(ctx: StepContext) -> Any:
        return ctx.gates.get("approve-plan", {}).get("decision")

    gate = {"key": "approve-plan", "kind": "approval", "title": "may I?"}
    put(client, {"handler": "note"}, {"handler": "note", "gate": gate})
    run_id, refused = start(client, "yes"), start(client, "no")
    execute(dsn, config, registry)
    assert client.run(run_id)["nextAction"] == "APPROVE_PLAN"
    client.approve_plan(run_id, "tester")
    client.approve_plan(refused, "tester", "not like this", "no")
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "SUCCESS"
    assert client.run(refused)["status"] == "ERROR"


@pytest.mark.parametrize(
    "output", [float("nan"), {1, 2}, "\x00", object()], ids=["nan", "set", "nul", "object"]
)
def test_a_result_that_cannot_be_stored_fails_alone(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, output: Any
) -> None:
    @registry.handler("maybe")
    async def maybe(ctx: StepContext) -> Any:
        await asyncio.sleep(0.05)
        return output if ctx.intent["goal"] == "poison" else "fine"

    put(client, {"handler": "maybe"})
    good = start_many(client, 20)
    bad = start(client, "poison")
    execute(dsn, config, registry, queues={"intentQ": 50})
    assert client.run(bad)["error"]["code"] == "result_rejected"
    assert {client.run(run_id)["status"] for run_id in good} == {"SUCCESS"}


def test_a_refused_claim_does_not_cost_the_result_sent_with_it(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    @registry.handler("kept")
    def kept(ctx: StepContext) -> str:
        conn.execute("update app.workers set stopped_at = now()")  # from here on a claim is PT404
        time.sleep(0.3)  # polls are refused and due again: the next call carries the result and a claim
        return "kept"

    put(client, {"handler": "kept"})
    run_id = start(client)
    assert execute(dsn, config, registry, heartbeat_interval=1) == 0
    assert client.run(run_id)["error"] is None
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1)]


def test_a_runner_takes_only_runs_of_its_version(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("noop")
    async def noop(ctx: StepContext) -> None:
        return None

    put(client, {"handler": "noop"})
    intent = client.create_intent({"goal": "old", "inputs": {}, "constraints": {}})["intentId"]
    run_id = client.start_run(intent, recipeName="test", appVersion="0.0.1")["workflowID"]
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "ENQUEUED"
    execute(dsn, config, registry, app_version="0.0.1")
    assert client.run(run_id)["status"] == "SUCCESS"


def test_polling_alone_is_enough(dsn: str, config: Config, client: Client, registry: Registry) -> None:
    @registry.handler("again")
    async def again(ctx: StepContext) -> None:
        if ctx.attempt == 1:
            raise StepError("later", "come again", retryable=True)

    put(client, {"handler": "again", "retry": {"maxAttempts": 2, "backoff": {"initialMS": 0}}})
    ids = start_many(client, 30)
    execute(dsn, config, registry, listen=False, pumps=1)
    assert {client.run(run_id)["status"] for run_id in ids} == {"SUCCESS"}


def test_once_takes_one_batch(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    @registry.handler("noop")
    async def noop(ctx: StepContext) -> None:
        return None

    put(client, {"handler": "noop"}, {"handler": "noop"})
    start_many(client, 10)
    execute(dsn, config, registry, until_idle=False, once=True, queues={"intentQ": 4})
    assert scalar(conn, "select count(*) from app.runs where status = 'SUCCESS'") == 4
    assert scalar(conn, "select count(*) from app.runs where status = 'ENQUEUED'") == 6


def test_an_idle_runner_asks_less_than_twice_a_second(dsn: str, config: Config, registry: Registry) -> None:
    async def counted() -> tuple[int, float]:
        worker = _CountingWorker(dsn, config, registry, RunnerOptions(name="idle"))
        running = asyncio.create_task(worker.run())
        while worker.polls < 2:
            await asyncio.sleep(0.01)
        before, began = worker.asked, time.monotonic()
        while time.monotonic() < began + 3:
            await asyncio.sleep(0.05)
        asked, seconds = worker.asked - before, time.monotonic() - began
        worker.desk.drain()
        assert await running == 0
        return asked, seconds

    asked, seconds = asyncio.run(counted())
    assert 1 <= asked <= 2 * seconds


class _CountingWorker(Worker):
    """Counts the statements of all its connections."""

    asked = polls = 0

    async def _connect(self, purpose: str) -> Connection:
        connection = await super()._connect(purpose)
        execute = connection.execute

        async def counting(*arguments: Any, **options: Any) -> Any:
            self.asked += 1
            self.polls += '"recover":true' in str(arguments[1:])
            return await execute(*arguments, **options)

        vars(connection)["execute"] = counting
        return connection


@pytest.mark.parametrize("output", ["1e5000", "[" * 3000 + "]" * 3000], ids=["huge", "deep"])
def test_an_output_that_no_runner_can_read_fails_alone(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, output: str
) -> None:
    @registry.handler("fine")
    async def fine(ctx: StepContext) -> str:
        return "fine"

    put(client, {"handler": "fine"}, {"handler": "fine", "retry": {"maxAttempts": 3}})
    bad = start(client, "poison")
    info = {"appVersion": config.app_version, "queues": ["intentQ"], "concurrency": 1}
    conn.execute("select app.register_worker('another', %s::jsonb)", (json.dumps(info),))
    want = json.dumps({"queues": {"intentQ": 1}, "appVersion": config.app_version})
    lane = scalar(
        conn,
        """select jsonb_build_object('runId', run_id, 'taskKey', task_key, 'queue', queue_name,
             'msgId', msg_id, 'readCt', read_ct, 'idx', idx, 'attempt', attempt, 'status', 'SUCCESS')
           from app.work('another', '[]', %s::jsonb)""",
        want,
    )
    report = json.dumps([lane]).replace("}", f', "output": {output}}}')
    conn.execute("select app.work('another', %s::jsonb, '{\"drain\": true}')", (report,))
    good = start_many(client, 5)
    assert execute(dsn, config, registry) == 0
    assert client.run(bad)["error"]["code"] == "context_unreadable"
    assert {client.run(run_id)["status"] for run_id in good} == {"SUCCESS"}
    attempts = "select array_agg(status || attempt order by idx) from app.run_steps where run_id = %s"
    assert scalar(conn, attempts, bad) == ["SUCCESS1", "ERROR1"]


def test_an_output_that_is_too_large_fails_alone(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("much")
    async def much(ctx: StepContext) -> str:
        return "x" * 1_048_575 if ctx.intent["goal"] == "too much" else "x" * 1_048_570

    put(client, {"handler": "much"})
    bad = start(client, "too much")
    good = start_many(client, 3)
    assert execute(dsn, config, registry) == 0
    error = client.run(bad)["error"]
    assert (error["code"], error["retryable"]) == ("result_rejected", False)
    assert "artifact" in error["message"]
    assert {client.run(run_id)["status"] for run_id in good} == {"SUCCESS"}
