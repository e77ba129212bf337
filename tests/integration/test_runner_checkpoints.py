"""Checkpoints inside handlers, against the database: replay, waits, lost leases, lost connections."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from sisu_kodo import Registry, StepContext, StepError, StepResult, TurnOver
from sisu_kodo.client import Client
from sisu_kodo.config import Config
from tests.integration.runner_support import execute, put, scalar, start, statuses, wait_until

Database = psycopg.Connection[Any]
Call = Callable[[StepContext], Any]
TWICE = {"maxAttempts": 2}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def handle(registry: Registry, kind: str, *script: Call, name: str = "h") -> list[int]:
    """Register a handler that makes these calls and returns a list of what they return. The list tells which
    calls came back.
    """
    done: list[int] = []
    if kind == "sync":

        @registry.handler(name)
        def in_thread(ctx: StepContext) -> list[Any]:
            found = []
            for number, call in enumerate(script):
                found.append(call(ctx))
                done.append(number)
            return found
    else:

        @registry.handler(name)
        async def on_loop(ctx: StepContext) -> list[Any]:
            found = []
            for number, call in enumerate(script):
                value = call(ctx)
                found.append(await value if inspect.isawaitable(value) else value)
                done.append(number)
            return found

    return done


def fails_once(ctx: StepContext) -> None:
    """What comes before it is done, what comes after it is for the second attempt."""
    if ctx.attempt == 1:
        raise StepError("crash", "as if the worker had died", retryable=True)


def kept(conn: Database, run_id: str) -> list[tuple[Any, ...]]:
    """The checkpoints of a run: (idx, seq, kind, name, attempt)."""
    return conn.execute(
        "select idx, seq, kind, name, attempt from app.checkpoints where run_id = %s"
        " order by idx, task_key, seq",
        (run_id,),
    ).fetchall()


def output(conn: Database, run_id: str, step_id: str = "S0") -> Any:
    return scalar(
        conn,
        "select output from app.run_steps where run_id = %s and step_id = %s and status = 'SUCCESS'",
        run_id,
        step_id,
    )


def test_a_new_attempt_reads_what_an_earlier_one_did(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    calls: list[str] = []
    seen: list[Any] = []

    def once(word: str, *, more: int = 0) -> dict[Any, Any]:
        calls.append(word)
        return {"word": word, 1: (2.5, None), "nested": {"zz": more, "a": [True]}, "big": 1e22}

    done = handle(
        registry,
        kind,
        lambda ctx: ctx.step("a", once, "a", more=7),
        lambda ctx: ctx.emit("note", "n.txt", body=b"hello", media_type="text/plain"),
        fails_once,
        lambda ctx: ctx.step("b", once, "b"),
    )
    put(client, {"handler": "h", "retry": TWICE})
    run_id = start(client)
    assert execute(dsn, config, registry) == 0
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert calls == ["a", "b"] and done == [0, 1, 0, 1, 2, 3], seen
    assert kept(conn, run_id) == [(0, 0, "step", "a", 1), (0, 1, "emit", "n.txt", 1), (0, 2, "step", "b", 2)]
    (note,) = [each for each in client.artifacts(run_id) if each["kind"] == "note"]
    assert client.artifact(note["artifactId"]).body == b"hello"
    nested = {"zz": 7, "a": [True]}
    assert output(conn, run_id)[:2] == [
        {"word": "a", "1": [2.5, None], "nested": nested, "big": 10**22},
        note["artifactId"],
    ]


def test_the_first_time_a_step_returns_what_a_replay_does(
    dsn: str, config: Config, client: Client, registry: Registry, kind: str
) -> None:
    seen: list[Any] = []
    value = {"z": 1, "a": (1, 2.0, 1e300), "n": {2: None}, "text": "ä\u2028", "big": 2**70}
    if kind == "sync":

        @registry.handler("h")
        def in_thread(ctx: StepContext) -> None:
            seen.append(ctx.step("odd", lambda: value))
            fails_once(ctx)
    else:

        @registry.handler("h")
        async def on_loop(ctx: StepContext) -> None:
            seen.append(await ctx.step("odd", lambda: value))
            fails_once(ctx)

    put(client, {"handler": "h", "retry": TWICE})
    start(client)
    execute(dsn, config, registry)
    assert len(seen) == 2 and repr(seen[0]) == repr(seen[1]), seen


def test_a_sleeping_handler_holds_no_slot_and_wakes_where_it_was(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    calls: list[str] = []
    handle(
        registry,
        kind,
        lambda ctx: ctx.step("before", calls.append, "before"),
        lambda ctx: ctx.sleep(3600, "an hour"),
        lambda ctx: ctx.step("after", calls.append, "after"),
        lambda ctx: ctx.sleep(0.001),
    )
    put(client, {"handler": "h", "timeoutMS": 20000})
    run_id, other = start(client, "one"), start(client, "two")
    one_slot = {"queues": {"intentQ": 1}}
    execute(dsn, config, registry, **one_slot)
    assert calls == ["before"] * 2, "the first one made room for the second"
    assert statuses(client, run_id) == [("S0", "PENDING", 1)]
    assert scalar(conn, "select count(*) from app.leases()") == 0
    assert scalar(conn, "select bool_and(parked_at is not null) from app.run_steps") is True
    assert client.broken_laws() == []
    execute(dsn, config, registry, **one_slot)
    assert calls == ["before"] * 2, "not before its time"
    conn.execute("select app.advance('1 hour')")
    execute(dsn, config, registry, **one_slot)
    conn.execute("select app.advance('1 second')")
    execute(dsn, config, registry, **one_slot)
    assert calls == ["before", "before", "after", "after"]
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1)] == statuses(client, other)
    assert [row[2:4] for row in kept(conn, run_id)] == [
        ("step", "before"),
        ("sleep", "an hour"),
        ("step", "after"),
        ("sleep", "sleep"),
    ]


def test_a_handler_asks_a_human(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    handle(
        registry,
        kind,
        lambda ctx: ctx.wait_for("how-many", title="How many?", ttl=60),
        lambda ctx: ctx.wait_for("sure", kind="approval", title="Sure?", ttl_ms=60_000, on_expiry="answer",
                                 answer={"decision": "yes"}),
    )  # fmt: skip
    put(client, {"handler": "h"}, {"handler": "h"}, name="asks")
    put(client, {"handler": "h"}, name="test")
    run_id = start(client)
    execute(dsn, config, registry)
    header = client.run(run_id)
    assert (header["status"], header["nextAction"]) == ("WAITING_INPUT", "REPLY_GATE")
    (gate,) = client.gates(run_id)
    assert (gate["gateKey"], gate["title"], gate["kind"]) == ("how-many", "How many?", "input")
    conn.execute("select app.reply_gate(%s, 'how-many', '{\"n\": 3}', 'k', 'ann')", (run_id,))
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "WAITING_INPUT", "at the second gate"
    conn.execute("select app.advance('1 minute')")
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "SUCCESS"
    assert output(conn, run_id) == [{"n": 3}, {"decision": "yes"}]


def test_a_gate_key_that_the_recipe_has_cannot_be_taken(
    dsn: str, config: Config, client: Client, registry: Registry, kind: str
) -> None:
    handle(registry, kind, lambda ctx: ctx.wait_for("approve-plan"))
    put(client, {"handler": "h"}, {"handler": "h", "gate": {"key": "approve-plan", "kind": "approval"}})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "gate_key_taken"


def test_a_wait_that_makes_no_sense_fails_its_attempt(
    dsn: str, config: Config, client: Client, registry: Registry, kind: str
) -> None:
    handle(registry, kind, lambda ctx: ctx.wait_for("g", kind="poll"))
    handle(registry, kind, lambda ctx: ctx.sleep(1e9), name="long")
    put(client, {"handler": "h"})
    put(client, {"handler": "long"}, name="long")
    runs = [start(client), start(client, name="long", goal="long")]
    execute(dsn, config, registry)
    errors = [client.run(run_id)["error"] for run_id in runs]
    assert [error["code"] for error in errors] == ["result_rejected"] * 2
    assert "wait.gate.kind" in errors[0]["message"] and "wait.ms" in errors[1]["message"]


def test_other_code_than_before_is_a_determinism_error(
    dsn: str, config: Config, client: Client, registry: Registry, kind: str
) -> None:
    handle(registry, kind, lambda ctx: ctx.step("charge" if ctx.attempt == 1 else "refund", int), fails_once)
    put(client, {"handler": "h", "retry": {"maxAttempts": 5}})
    run_id = start(client)
    execute(dsn, config, registry)
    error = client.run(run_id)["error"]
    assert error["code"] == "determinism_error"
    assert error["message"] == "S0: checkpoint 0 was step charge, the code now says step refund"
    assert statuses(client, run_id) == [("S0", "ERROR", 2)]


def test_a_result_that_cannot_be_stored_names_its_step(
    dsn: str, config: Config, client: Client, registry: Registry, kind: str
) -> None:
    handle(registry, kind, lambda ctx: ctx.step("odd", lambda: object()))
    handle(registry, kind, lambda ctx: ctx.step("nul", lambda: "\x00"), name="nul")
    handle(registry, kind, lambda ctx: ctx.emit("No Kind", "x", inline=1), name="kind")
    for name in ("h", "nul", "kind"):
        put(client, {"handler": name}, name=name)
    runs = [start(client, name, name) for name in ("h", "nul", "kind")]
    execute(dsn, config, registry)
    errors = [client.run(run_id)["error"] for run_id in runs]
    assert [each["code"] for each in errors] == [
        "result_rejected",
        "checkpoint_rejected",
        "checkpoint_rejected",
    ]
    assert "step odd" in errors[0]["message"] and "step nul" in errors[1]["message"]
    assert "artifact.kind" in errors[2]["message"]


def test_a_swallowed_wait_fails_the_attempt(
    dsn: str, config: Config, client: Client, registry: Registry
) -> None:
    @registry.handler("h")
    def swallows(ctx: StepContext) -> str:
        with suppress(BaseException):
            ctx.sleep(60, "a nap")
        return "done"

    put(client, {"handler": "h", "retry": TWICE})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "wait_swallowed"
    assert statuses(client, run_id) == [("S0", "ERROR", 1)]


def test_tasks_have_checkpoints_of_their_own(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    calls: list[int] = []

    @registry.handler("split")
    async def split(ctx: StepContext) -> StepResult:
        many = await ctx.step("how many", lambda: 3)
        await ctx.sleep(60)
        return StepResult("split", tasks=[{"n": n} for n in range(many)])

    def square(task: dict[str, int]) -> int:
        calls.append(task["n"])
        return task["n"] ** 2

    handle(
        registry,
        kind,
        lambda ctx: ctx.step("square", square, ctx.task),
        lambda ctx: ctx.sleep(60),
        name="square",
    )
    put(client, {"handler": "split", "fanOut": {"queue": "sbxQ", "handler": "square"}})
    run_id = start(client)
    for _ in range(3):
        execute(dsn, config, registry)
        conn.execute("select app.advance('1 minute')")
    assert client.run(run_id)["status"] == "SUCCESS"
    assert sorted(calls) == [0, 1, 2]
    assert [task["output"] for task in output(conn, run_id)["tasks"]] == [[n**2, None] for n in range(3)]
    assert len(kept(conn, run_id)) == 2 + 3 * 2


def test_the_next_step_of_a_lane_begins_without_checkpoints(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    handle(registry, kind, lambda ctx: ctx.step("first", lambda: ctx.step_id), fails_once, name="a")
    handle(registry, kind, lambda ctx: ctx.step("second", lambda: ctx.step_id), name="b")
    put(client, {"handler": "a", "retry": TWICE}, {"handler": "b"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"] is None
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2), ("S1", "SUCCESS", 1)]
    assert output(conn, run_id, "S1") == ["S1"]


def test_what_runs_at_once_is_kept_in_the_order_of_the_calls(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    calls: list[str] = []

    async def nap(word: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        calls.append(word)
        return word

    @registry.handler("h")
    async def gathers(ctx: StepContext) -> Any:
        async def branch(word: str, seconds: float) -> list[str]:
            return [await ctx.step(f"{word} {n}", nap, f"{word} {n}", seconds) for n in range(2)]

        first = await asyncio.gather(*(ctx.step(f"nap {n}", nap, f"nap {n}", (3 - n) / 50) for n in range(3)))
        second = await asyncio.gather(branch("slow", 0.1), branch("quick", 0.01))
        fails_once(ctx)
        return [first, second, await ctx.step("end", int)]

    put(client, {"handler": "h", "retry": TWICE})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"] is None
    first, second, end = output(conn, run_id)
    assert (first, end) == (["nap 0", "nap 1", "nap 2"], 0)
    assert second == [["slow 0", "slow 1"], ["quick 0", "quick 1"]]
    assert sorted(calls) == sorted(set(calls)), "each once"
    assert calls[:3] == ["nap 2", "nap 1", "nap 0"] and calls[3:] == [
        "quick 0",
        "quick 1",
        "slow 0",
        "slow 1",
    ]
    names = [row[3] for row in kept(conn, run_id)]
    assert names == ["nap 0", "nap 1", "nap 2", "slow 0", "quick 0", "quick 1", "slow 1", "end"]


def test_a_handler_whose_lane_is_lost_stops_at_its_next_checkpoint(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    ended: list[str] = []

    def lose(ctx: StepContext) -> None:
        if ctx.attempt == 1:  # as if somebody else had taken over
            info = '{"appVersion": "0.1.0", "queues": ["intentQ"], "concurrency": 1}'
            conn.execute("select app.register_worker('in-process', %s)", (info,))

    def note(ctx: StepContext) -> None:
        ended.append(f"went on in attempt {ctx.attempt}")

    handle(
        registry,
        kind,
        lambda ctx: ctx.step("before", int),
        lose,
        lambda ctx: ctx.step("after", lambda: ctx.attempt),
        note,
    )
    put(client, {"handler": "h"})
    run_id = start(client)
    execute(dsn, config, registry, heartbeat_interval=60)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert ended == ["went on in attempt 2"]
    assert output(conn, run_id) == [0, None, 2, None]
    assert kept(conn, run_id) == [(0, 0, "step", "before", 1), (0, 1, "step", "after", 2)]


def test_with_a_lost_lane_all_tasks_of_the_handler_stop(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    stopped: list[int] = []

    @registry.handler("h")
    async def lonely(ctx: StepContext) -> list[int]:
        async def beside() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                stopped.append(ctx.attempt)
                raise

        if ctx.attempt == 1:
            info = '{"appVersion": "0.1.0", "queues": ["intentQ"], "concurrency": 1}'
            conn.execute("select app.register_worker('in-process', %s)", (info,))
            await asyncio.gather(beside(), ctx.step("after", int))
        await asyncio.sleep(0.1)
        return list(stopped)

    put(client, {"handler": "h"})
    run_id = start(client)
    execute(dsn, config, registry, heartbeat_interval=60)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert output(conn, run_id) == [1]


def test_a_task_that_outlives_its_handler_has_no_checkpoints(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    ran: list[str] = []
    tasks: list[asyncio.Task[Any]] = []

    @registry.handler("h")
    async def leaves_one_behind(ctx: StepContext) -> None:
        async def later() -> None:
            await asyncio.sleep(0.1)
            await ctx.step("orphan", ran.append, "orphan")

        await ctx.step("own", int)
        tasks.append(asyncio.create_task(later()))

    @registry.handler("wait")
    async def waits(ctx: StepContext) -> None:
        await asyncio.wait(tasks)

    put(client, {"handler": "h"}, {"handler": "wait"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "SUCCESS" and ran == []
    assert isinstance(tasks[0].exception(), TurnOver)
    assert [row[3] for row in kept(conn, run_id)] == ["own"]


def test_lost_connections_lose_no_checkpoint(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    calls: list[int] = []

    def work(n: int) -> int:
        time.sleep(0.01)
        calls.append(n)
        return n

    handle(registry, kind, *[lambda ctx, n=n: ctx.step(f"step {n}", work, n) for n in range(40)])
    put(client, {"handler": "h"})
    run_id = start(client)
    stop = threading.Event()

    def cut() -> None:
        with psycopg.connect(dsn, autocommit=True) as other:
            while not stop.wait(0.1):
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name like '%% calls' and datname = current_database()"
                )

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        execute(dsn, config, registry)
    finally:
        stop.set()
        thread.join()
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1)]
    assert calls == list(range(40)) and output(conn, run_id) == calls


def test_a_handler_that_timed_out_keeps_nothing_more(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry
) -> None:
    ended = threading.Event()
    ran: list[str] = []

    @registry.handler("h")
    def late(ctx: StepContext) -> None:
        wait_until(ctx.cancelled, "the timeout")
        time.sleep(0.3)
        try:
            ctx.step("too late", ran.append, "too late")
        finally:
            ended.set()

    put(client, {"handler": "h", "timeoutMS": 50})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "timeout"
    assert ended.wait(10) and not ran and kept(conn, run_id) == []


def test_no_step_begins_after_a_cancel(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    ran: list[str] = []
    handle(
        registry,
        kind,
        lambda ctx: ctx.step("before", ran.append, "before"),
        lambda ctx: client.control("cancel", ctx.run_id, "ann", "enough") and None,
        lambda ctx: wait_until(ctx.cancelled, "the cancel") and None if kind == "sync" else _told(ctx),
        lambda ctx: ctx.step("after", ran.append, "after"),
    )
    put(client, {"handler": "h"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "CANCELLED" and ran == ["before"]
    client.control("resume", run_id, "ann", "after all")
    put(client, {"handler": "h"})
    ran.clear()
    registry_again = Registry()
    handle(
        registry_again,
        kind,
        lambda ctx: ctx.step("before", ran.append, "before"),
        lambda ctx: ctx.step("after", ran.append, "after"),
    )
    execute(dsn, config, registry_again)
    assert client.run(run_id)["status"] == "SUCCESS" and ran == ["after"]


async def _told(ctx: StepContext) -> None:
    while not ctx.cancelled():
        await asyncio.sleep(0.01)
