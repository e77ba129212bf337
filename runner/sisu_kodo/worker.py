"""The runner: registers, pumps, beats, listens, and leaves in order.

First SIGTERM or SIGINT: claims nothing new, lets the steps in hand end, hands their lanes back, leaves with
0. Second: tells the handlers to stop, gives every lease back and leaves at once with 128 + the signal's
number.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg

from .attempts import Attempts
from .backoff import Backoff
from .calls import Calls
from .config import Config
from .connections import Connection
from .errors import is_connection_error
from .heartbeat import Heartbeat
from .lanes import Call, Desk
from .logs import Log
from .pump import Pump
from .queries import query
from .registry import Registry
from .telemetry import tracer_for
from .threads import Threads
from .transactions import Transactions
from .wakeup import Wakeup

_log = Log(__name__)

DEFAULT_QUEUES = ("intentQ", "sbxQ", "controlQ")


@dataclass(frozen=True)
class RunnerOptions:
    """How one runner process behaves.

    `queues` maps queue names to slots. `pumps` is the number of connections that carry work. Times are in
    seconds; `poll_interval` keeps an idle runner below two statements a second, `heartbeat_interval` is well
    below a lease and the 15 s after which a worker counts as gone. `prepare_threshold` None suits
    transaction-mode poolers. `once`: claim one batch, finish it, leave; `until_idle`: leave when nothing is
    left to claim. `admin` is a listening socket for /healthz, /readyz and /metrics.
    """

    name: str
    queues: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DEFAULT_QUEUES, 10))
    app_version: str | None = None
    pumps: int = 2
    listen: bool = True
    poll_interval: float = 0.6
    heartbeat_interval: float = 5.0
    prepare_threshold: int | None = None
    once: bool = False
    until_idle: bool = False
    admin: socket.socket | None = None


class Worker:
    """One runner on one database. `run` returns the exit code."""

    def __init__(self, dsn: str, config: Config, registry: Registry, options: RunnerOptions) -> None:
        self._dsn = dsn
        self._config = config
        self._registry = registry
        self._options = options
        self._app_version = options.app_version or config.app_version
        self._pumps = 1 if options.once else options.pumps
        self.desk = Desk(options.queues, self._pumps)
        self.desk.tracer = tracer_for(config, options.name, self._app_version)
        self._threads = Threads(max(10, sum(options.queues.values())))
        self._calls = Calls(options.name, self._connect)
        self._transactions = Transactions(options.name, self._connect, self._connect_sync, self._threads)
        self.attempts = Attempts(self.desk, registry, config, self._calls, self._transactions, self._threads)
        self._signal: int | None = None
        self._leave = asyncio.Event()

    async def run(self) -> int:
        """Work until drained. 0: drained; 130, 143: left at once after the second SIGINT, SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.on_signal, number)
        await self._register()
        if self.desk.tracer is not None:
            await asyncio.to_thread(self.desk.tracer.open, self._connect_sync)
        side: list[Coroutine[Any, Any, None]] = [
            Heartbeat(
                self._options.name,
                self._options.heartbeat_interval,
                self.desk,
                self.attempts,
                self._connect,
                partial(self._register, keep_leases=True),
            ).run(),
            self._ticker(),
        ]
        if self._options.listen:
            side.append(Wakeup(self.desk, self._connect).run())
        if self._options.admin is not None:
            side.append(self._serve_admin(self._options.admin))
        helpers = [asyncio.create_task(each) for each in side]
        pumps = [asyncio.create_task(self._pump(number).run()) for number in range(1, self._pumps + 1)]
        work: asyncio.Future[Any] = asyncio.gather(*pumps)
        leave = asyncio.create_task(self._leave.wait())
        try:
            await asyncio.wait((work, leave, *helpers), return_when=asyncio.FIRST_COMPLETED)
            for task in (work, *helpers):  # without its heartbeat a runner would lose its leases in silence
                if task.done():
                    task.result()
        finally:
            for task in (work, leave, *helpers):
                task.cancel()
            await asyncio.gather(work, leave, *helpers, return_exceptions=True)
        return await self._depart()

    def on_signal(self, number: int) -> None:
        """First call drains, second leaves at once."""
        if self._signal is None:
            self._signal = number
            _log.info("runner.draining", signal=signal.Signals(number).name, lanes=len(self.desk.lanes))
            self.desk.drain()
        else:
            self._signal = number
            self._leave.set()

    async def _register(self, keep_leases: bool = False) -> None:
        """Registers, for as long as it takes to reach the database; errors of another kind are raised.

        `keep_leases`: again, and what we hold is still ours.
        """
        options = self._options
        info = {
            "appVersion": self._app_version,
            "queues": list(options.queues),
            "concurrency": sum(options.queues.values()),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "keepLeases": keep_leases,
        }
        backoff = Backoff()
        while not self._leave.is_set() and self.desk.keeping:
            try:
                async with await self._connect("register") as connection:
                    arguments = {"worker": options.name, "info": json.dumps(info)}
                    cursor = await connection.execute(query("register_worker"), arguments)
                    row = await cursor.fetchone()
                _log.info(
                    "runner.started",
                    worker=options.name,
                    app_version=self._app_version,
                    queues=",".join(f"{queue}={slots}" for queue, slots in options.queues.items()),
                    released=(row[0] or {}).get("released") if row else None,
                )
                return
            except (psycopg.Error, OSError) as error:
                if not is_connection_error(error):
                    raise
                delay = backoff.next()
                _log.warning(
                    "runner.waiting", error=str(error).strip().partition("\n")[0], seconds=round(delay, 2)
                )
                await asyncio.sleep(delay)

    async def _depart(self) -> int:
        """Give back what is still held, retire, and say how it ended."""
        held = self.desk.held()
        for lane in held:
            lane.cancelled.set()
        worker = self._options.name
        try:
            async with asyncio.timeout(5), await self._connect("leave") as connection:
                if held:
                    leases = json.dumps([lane.lease() for lane in held])
                    await connection.execute(query("release"), {"worker": worker, "leases": leases})
                await connection.execute(query("retire_worker"), {"worker": worker})
        except (psycopg.Error, OSError, TimeoutError) as error:
            _log.warning("runner.left_leases", leases=len(held), error=str(error).strip().partition("\n")[0])
        self.attempts.close()
        for lane in held:
            self.attempts.stop(lane)
        await self._calls.close()
        await self._transactions.close()
        if self.desk.tracer is not None:
            await asyncio.to_thread(self.desk.tracer.close, 0.5 if self._leave.is_set() else 2.0)
        code = 128 + self._signal if self._leave.is_set() and self._signal is not None else 0
        _log.info("runner.left", worker=worker, attempts=self.attempts.count, released=len(held), exit=code)
        return code

    def _pump(self, number: int) -> Pump:
        pump = Pump(number, self._options.name, self._app_version, self.desk, self.attempts, self._connect)
        pump.after_call(self._after_call)
        return pump

    def _after_call(self, call: Call) -> None:
        desk = self.desk
        if self._options.once and call.poll:
            desk.claiming = False
            desk.stir.set()
            return
        if self._options.until_idle and desk.at_rest(call):
            desk.drain()

    async def _serve_admin(self, listening: socket.socket) -> None:
        from .http.runner_admin import runner_admin  # half a second to import, and most runners have none

        readiness = (self._dsn, self._app_version, lambda: not self.desk.keeping)
        await runner_admin(*readiness, self.desk).serve(sockets=[listening])

    async def _ticker(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_interval)
            self.desk.tick()

    async def _connect(self, purpose: str) -> Connection:
        dsn = self._dsn
        if purpose == "wakeup" and self._config.listen_url:
            dsn = self._config.listen_url
        return await psycopg.AsyncConnection.connect(dsn, **self._connection(purpose))

    def _connect_sync(self, purpose: str) -> psycopg.Connection[Any]:
        return psycopg.Connection.connect(self._dsn, **self._connection(purpose))

    def _connection(self, purpose: str) -> dict[str, Any]:
        return {
            "autocommit": True,
            "prepare_threshold": self._options.prepare_threshold,
            "application_name": f"sisu runner {self._options.name} {purpose}",
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
