"""Transactional handlers: their SQL and their step commit together, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from sisu_kodo import Registry, StepContext, StepError, StepResult
from sisu_kodo.client import Client
from sisu_kodo.config import Config
from sisu_kodo.transactions import AsyncTransaction, SyncTransaction
from tests.integration.runner_support import (
    execute,
    execute_until,
    put,
    scalar,
    short_leases,
    start,
    start_many,
    statuses,
    wait_until,
)

Database = psycopg.Connection[Any]
ADD = "insert into paid (run_id, attempt) values (%s, %s)"


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def client(conn: Database) -> Iterator[Client]:
    conn.execute("create table paid (run_id text, attempt integer, at timestamptz default clock_timestamp())")
    client = Client(conn)
    yield client
    assert client.broken_laws() == []


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pays(
    registry: Registry,
    kind: str,
    then: Callable[[StepContext, Any], Any] = lambda ctx, conn: "paid",
    name: str = "pay",
) -> None:
    """Register a transactional handler that inserts a row and returns what `then` does."""
    if kind == "sync":

        @registry.handler(name, transactional=True)
        def in_thread(ctx: StepContext, conn: psycopg.Connection[Any]) -> Any:
            conn.execute(ADD, (ctx.run_id, ctx.attempt))
            return then(ctx, conn)
    else:

        @registry.handler(name, transactional=True)
        async def on_loop(ctx: StepContext, conn: psycopg.AsyncConnection[Any]) -> Any:
            await conn.execute(ADD, (ctx.run_id, ctx.attempt))
            value = then(ctx, conn)
            return await value if hasattr(value, "__await__") else value


def paid(conn: Database) -> list[int]:
    """The attempts whose row was kept."""
    return [row[0] for row in conn.execute("select attempt from paid order by at").fetchall()]


def noop(registry: Registry, name: str = "noop") -> None:
    @registry.handler(name)
    async def nothing(ctx: StepContext) -> Any:
        return ctx.outputs


def test_the_row_and_the_step_commit_together_and_the_lane_goes_on(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    pays(registry, kind, lambda ctx, conn: StepResult({"n": 1}))
    noop(registry)
    put(client, {"handler": "pay"}, {"handler": "pay"}, {"handler": "noop"}, {"handler": "pay"})
    ids = start_many(client, 20)
    assert execute(dsn, config, registry) == 0
    assert {client.run(run_id)["status"] for run_id in ids} == {"SUCCESS"}
    assert paid(conn) == [1] * 60
    seen = scalar(conn, "select output from app.run_steps where step_id = 'S2' limit 1")
    assert seen == {"S0": {"n": 1}, "S1": {"n": 1}}
    assert scalar(conn, "select count(distinct (run_id, msg_id)) from app.run_steps") == 20, "one lane each"
    assert scalar(conn, "select max(attempt) from app.run_steps") == 1
    same = "select count(*) from paid as p join app.run_steps as s using (run_id) where p.xmin = s.xmin"
    assert scalar(conn, same) >= 20, "in one transaction"


def test_an_error_rolls_back_and_is_reported(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    def refuse(ctx: StepContext, conn: Any) -> None:
        if ctx.attempt < 3:
            raise (
                StepError("no_funds", "not yet", retryable=True) if ctx.attempt == 1 else LookupError("gone")
            )

    pays(registry, kind, refuse)
    put(client, {"handler": "pay", "retry": {"maxAttempts": 3, "retryableCodes": ["handler_error"]}})
    run_id = start(client)
    execute(dsn, config, registry)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 3)]
    assert paid(conn) == [3]
    errors = "select array_agg(error ->> 'code' order by attempt) from app.run_steps where run_id = %s"
    assert scalar(conn, errors, run_id) == ["no_funds", "handler_error", None]


def test_what_is_not_json_rolls_back(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    pays(registry, kind, lambda ctx, conn: object())
    pays(registry, kind, lambda ctx, conn: "\x00", name="nul")
    put(client, {"handler": "pay"})
    put(client, {"handler": "nul"}, name="nul")
    runs = [start(client), start(client, "nul", "nul")]
    execute(dsn, config, registry)
    assert [client.run(run_id)["error"]["code"] for run_id in runs] == ["result_rejected"] * 2
    assert paid(conn) == []


def test_a_refused_result_rolls_back(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    def lose(ctx: StepContext, _: Any) -> None:
        if ctx.attempt == 1:  # as if somebody else had taken over
            info = '{"appVersion": "0.1.0", "queues": ["intentQ"], "concurrency": 1}'
            conn.execute("select app.register_worker('in-process', %s)", (info,))

    pays(registry, kind, lose)
    put(client, {"handler": "pay"})
    run_id = start(client)
    execute(dsn, config, registry, heartbeat_interval=60)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert paid(conn) == [2]


@pytest.mark.parametrize("call", ["step", "sleep", "wait_for", "emit"])
def test_it_has_no_checkpoints(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str, call: str
) -> None:
    arguments = {"step": ("a", int), "sleep": (1,), "wait_for": ("g",), "emit": ("note", "n")}[call]
    options = {"inline": 1} if call == "emit" else {}
    pays(registry, kind, lambda ctx, conn: getattr(ctx, call)(*arguments, **options))
    put(client, {"handler": "pay"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "transactional_handler"
    assert paid(conn) == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [("commit", "transaction_ended"), ("select 1/0", "transaction_failed")],
)
def test_the_transaction_is_the_runners(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, statement: str, code: str
) -> None:
    @registry.handler("pay", transactional=True)
    def careless(ctx: StepContext, conn: psycopg.Connection[Any]) -> None:
        with pytest.raises(psycopg.ProgrammingError):
            conn.commit()
        with suppress(psycopg.Error):
            conn.execute(statement.encode())

    put(client, {"handler": "pay"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == code
    assert statuses(client, run_id) == [("S0", "ERROR", 1)]


def test_nothing_stays_on_a_connection_that_is_used_again(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    seen: list[Any] = []

    @registry.handler("sync", transactional=True)
    def in_thread(ctx: StepContext, conn: psycopg.Connection[Any]) -> None:
        row = conn.execute("select pg_backend_pid(), current_setting('statement_timeout')").fetchone()
        seen.append(tuple(row or ()))
        conn.execute("set statement_timeout = '1h'")
        conn.execute("create temp table leftover (n integer)")
        conn.row_factory = dict_row

    @registry.handler("async", transactional=True)
    async def on_loop(ctx: StepContext, conn: psycopg.AsyncConnection[Any]) -> None:
        cursor = await conn.execute("select pg_backend_pid(), current_setting('statement_timeout')")
        seen.append(tuple(await cursor.fetchone() or ()))
        await conn.execute("set statement_timeout = '1h'")
        await conn.execute("create temp table leftover (n integer)")
        conn.row_factory = dict_row

    put(client, *[{"handler": kind}] * 3)
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"] is None
    assert len(set(seen)) == 1 and seen[0][1] == "0", seen


def test_a_lost_connection_is_a_lost_worker(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    def crash(ctx: StepContext, own: Any) -> Any:
        if ctx.attempt == 1:
            conn.execute("select pg_terminate_backend(%s, 5000)", (own.info.backend_pid,))
            return own.execute("select 1")
        return None

    short_leases(dsn)
    pays(registry, kind, crash)
    put(client, {"handler": "pay"})
    run_id = start(client)
    over = lambda: client.run(run_id)["status"] == "SUCCESS"  # noqa: E731
    execute_until(dsn, config, registry, over, poll_interval=0.1, heartbeat_interval=0.2)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2)]
    assert paid(conn) == [2]
    assert scalar(conn, "select error ->> 'code' from app.run_steps where attempt = 1") == "lease_expired"


def test_a_connection_lost_before_the_commit_is_done_again_at_once(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    conn.execute("create sequence commits")
    conn.execute(
        """
        create function crash() returns trigger language plpgsql as $$
        begin
          if nextval('commits') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
          return null;
        end $$;
        create constraint trigger crash after insert on paid deferrable initially deferred
        for each row execute function crash()
        """
    )
    pays(registry, kind)
    put(client, {"handler": "pay"}, {"handler": "pay"})
    run_id = start(client)
    execute(dsn, config, registry)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 2), ("S1", "SUCCESS", 1)]
    assert paid(conn) == [2, 1]
    assert scalar(conn, "select lost from app.run_steps where error is not null") is True


def test_a_connection_lost_after_the_commit_does_nothing_twice(
    dsn: str,
    config: Config,
    client: Client,
    conn: Database,
    registry: Registry,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[str] = []
    both: tuple[Any, ...] = (SyncTransaction, AsyncTransaction)
    for one in both:

        async def end(self: Any, really: Any = one.end) -> None:
            await really(self)
            if not lost:
                lost.append("the answer")
                await self.close()
                raise psycopg.OperationalError("the connection is lost")

        monkeypatch.setattr(one, "end", end)
    short_leases(dsn)
    pays(registry, kind)
    put(client, {"handler": "pay"}, {"handler": "pay"})
    run_id = start(client)
    over = lambda: client.run(run_id)["status"] == "SUCCESS"  # noqa: E731
    execute_until(dsn, config, registry, over, poll_interval=0.1, heartbeat_interval=0.2)
    assert lost and statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "SUCCESS", 2)]
    assert paid(conn) == [1, 2]


def test_connections_that_are_cut_all_the_time_lose_and_repeat_nothing(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    short_leases(dsn)
    conn.execute("update app.queues set max_recoveries = 100")
    nap = "select pg_sleep(0.02)"

    async def naps(ctx: StepContext, own: Any) -> None:
        await own.execute(nap)

    pays(registry, kind, naps if kind == "async" else lambda ctx, own: own.execute(nap) and None)
    put(client, {"handler": "pay"}, {"handler": "pay"})
    ids = start_many(client, 25)
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like '%% transaction' and datname = current_database() limit 2"
    )
    fire = iter(range(40))

    def over() -> bool:
        if next(fire, None) is not None:
            conn.execute(cut)
        return bool(scalar(conn, "select count(*) = %s from app.runs where status = 'SUCCESS'", len(ids)))

    execute_until(dsn, config, registry, over, poll_interval=0.1, heartbeat_interval=0.2)
    assert scalar(conn, "select count(*) from paid") == 50
    assert scalar(conn, "select count(*) from app.run_steps where lost") > 0, "no fire hit anything"
    assert scalar(conn, "select count(*) from app.run_steps where status = 'SUCCESS'") == 50


def test_what_a_commit_refuses_is_an_error(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    conn.execute("alter table paid add constraint once unique (run_id) deferrable initially deferred")
    pays(registry, kind)
    put(client, {"handler": "pay"}, {"handler": "pay", "retry": {"maxAttempts": 3}})
    run_id = start(client)
    execute(dsn, config, registry)
    assert statuses(client, run_id) == [("S0", "SUCCESS", 1), ("S1", "ERROR", 1)]
    assert client.run(run_id)["error"]["code"] == "transaction_failed"
    assert paid(conn) == [1]


def test_one_that_takes_too_long_is_rolled_back(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    ended = threading.Event()

    def dawdle(ctx: StepContext, conn: Any) -> Any:
        if kind == "async":
            return conn.execute("select pg_sleep(60)")
        try:
            conn.execute("select pg_sleep(60)")
        finally:
            ended.set()

    pays(registry, kind, dawdle)
    put(client, {"handler": "pay", "timeoutMS": 300})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["error"]["code"] == "timeout"
    if kind == "sync":
        assert ended.wait(10)
    open_ = "select count(*) from pg_stat_activity where application_name like '%% transaction'"
    wait_until(lambda: scalar(conn, open_) == 0, "the end of its connection")
    assert paid(conn) == []


def test_tasks_may_be_transactional(
    dsn: str, config: Config, client: Client, conn: Database, registry: Registry, kind: str
) -> None:
    pays(registry, kind, lambda ctx, conn: StepResult(tasks=[{"n": n} for n in range(15)]), name="split")
    pays(registry, kind, lambda ctx, conn: ctx.task)
    put(client, {"handler": "split", "fanOut": {"queue": "sbxQ", "handler": "pay"}})
    run_id = start(client)
    execute(dsn, config, registry)
    assert client.run(run_id)["status"] == "SUCCESS"
    assert len(paid(conn)) == 16


def test_a_handler_takes_what_it_is_given() -> None:
    registry = Registry()
    with pytest.raises(ValueError, match="ctx and conn"):
        registry.handler("x", transactional=True)(lambda ctx: None)
    with pytest.raises(ValueError, match="has to take ctx"):
        registry.handler("x")(lambda ctx, conn: None)
    registry.handler("x")(lambda ctx, conn=None: None)
