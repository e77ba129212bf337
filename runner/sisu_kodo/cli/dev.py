"""`sisu dev`: all that a developer needs, in one terminal; a second one starts just what is missing."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from .. import database
from ..config import Config, load_config
from .processes import only_one, start_sisu, stop_sisu

_EPILOG = """
\b
Each part is a process of its own: `pkill -f 'sisu runner'` ends only the worker, and another `sisu dev`
starts it anew. Ctrl-C stops what this one started, the runner first (it drains), and nothing else.
PORT is that of the API, ADMIN_PORT that of the runner's /healthz, /readyz and /metrics.
"""
_START_SECONDS = 15.0


@dataclass(frozen=True)
class Part:
    """One process of `sisu dev`: `sisu COMMAND ARGUMENTS`; it is up when `port` answers."""

    command: str
    arguments: tuple[str, ...]
    host: str
    port: int
    url: str


@click.command(epilog=_EPILOG)
@click.option(
    "--concurrency", type=click.IntRange(1, 10000), default=10, show_default=True, help="Slots per queue."
)
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    envvar="SISU_IMPORT",
    help="Load handlers; may be repeated.",
)
def dev(concurrency: int, modules: tuple[str, ...]) -> None:
    """Start the database (migrated), the API and a runner, whatever of it is missing."""
    arguments = [f"--concurrency={concurrency}", *(f"--import={module}" for module in modules)]
    raise SystemExit(serve(load_config(), arguments))


def serve(config: Config, arguments: list[str]) -> int:
    """Start what is missing, stay until Ctrl-C or SIGTERM, stop what was started. Returns 0."""
    stop = _Stop()
    was_running = bool(config.database_url) or bool(database.status(config)["running"])
    dsn = database.ensure_up(config)
    database.migrate(dsn, queue_partition=config.sbx_queue_partition)
    database.register_builtin(dsn)
    click.echo(f"database  {'is up' if was_running else 'started'}: {database.where(dsn)}")
    started: list[tuple[Part, subprocess.Popen[bytes]]] = []
    try:
        for part in parts(config, arguments):
            if (process := _start(config, part)) is not None:
                started.append((part, process))
        if not started and was_running:
            click.echo("everything is up already")
            return 0
        for part, process in started:
            _await(part, process, stop)
        click.echo("Ctrl-C stops what this terminal started")
        _stay(started, stop)
    finally:
        for part, process in reversed(started):
            stop_sisu(process)
            click.echo(f"{part.command:<9} stopped")
        if not was_running:
            database.down(config)
            click.echo("database  stopped")
    return 0


def parts(config: Config, arguments: list[str]) -> tuple[Part, ...]:
    """The API and the runner."""
    admin = (f"--admin-port={config.admin_port}", *arguments)
    return (
        Part("api", (), config.host, config.port, f"http://localhost:{config.port}"),
        Part("runner", admin, "127.0.0.1", config.admin_port, f"http://localhost:{config.admin_port}/readyz"),
    )


def part_lock(config: Config, command: str) -> Path:
    """The lock that a part of `sisu dev` holds for its whole life."""
    return config.sisu_home / "dev" / f"{command}.lock"


def _start(config: Config, part: Part) -> subprocess.Popen[bytes] | None:
    with only_one(part_lock(config, part.command)) as lock:
        if lock is None:
            click.echo(f"{part.command:<9} is up")
            return None
        process = start_sisu(part.command, part.arguments, keep=(lock,))
    click.echo(f"{part.command:<9} started: process {process.pid}, {part.url}")
    return process


def _await(part: Part, process: subprocess.Popen[bytes], stop: _Stop) -> None:
    """Wait until the part answers, but not for ever."""
    deadline = time.monotonic() + (_START_SECONDS if part.port else 0)
    while not stop.asked and process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((part.host.strip("[]"), part.port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)


def _stay(started: list[tuple[Part, subprocess.Popen[bytes]]], stop: _Stop) -> None:
    told: set[str] = set()
    while not stop.asked:
        for part, process in started:
            if part.command not in told and (code := process.poll()) is not None:
                told.add(part.command)
                click.echo(
                    f"{part.command:<9} ended with {code}; `sisu dev` in another terminal starts a new one",
                    err=True,
                )
        time.sleep(0.2)


class _Stop:
    """Remembers that SIGINT, SIGTERM or SIGHUP came."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
