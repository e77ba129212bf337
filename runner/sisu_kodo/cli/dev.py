"""`sisu dev`: all that a developer needs, in one terminal; a second one starts just what is missing."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

import click

from .. import database
from ..config import Config, load_config
from .processes import only_one, start_runner, stop_runner

_EPILOG = """
\b
Each part is a process of its own: `pkill -f 'sisu runner'` ends only the worker, and another `sisu dev`
starts it anew. Ctrl-C stops what this one started, the runner first (it drains), and nothing else.
"""


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
    """Start the database (migrated) and a runner, whatever of it is missing."""
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
    runner = _runner(config, arguments)
    try:
        if runner is None and was_running:
            click.echo("everything is up already")
            return 0
        click.echo("Ctrl-C stops what this terminal started")
        _stay(runner, stop)
    finally:
        if runner is not None:
            stop_runner(runner)
            click.echo("runner    stopped")
        if not was_running:
            database.down(config)
            click.echo("database  stopped")
    return 0


def _runner(config: Config, arguments: list[str]) -> subprocess.Popen[bytes] | None:
    with only_one(runner_lock(config)) as lock:
        if lock is None:
            click.echo("runner    is up")
            return None
        process = start_runner(arguments, keep=(lock,))
    click.echo(f"runner    started: process {process.pid}")
    return process


def runner_lock(config: Config) -> Path:
    """The lock that the runner of `sisu dev` holds for its whole life."""
    return config.sisu_home / "dev" / "runner.lock"


def _stay(runner: subprocess.Popen[bytes] | None, stop: _Stop) -> None:
    told = False
    while not stop.asked:
        if runner is not None and not told and (code := runner.poll()) is not None:
            click.echo(
                f"runner    ended with {code}; `sisu dev` in another terminal starts a new one", err=True
            )
            told = True
        time.sleep(0.2)


class _Stop:
    """Remembers that SIGINT, SIGTERM or SIGHUP came."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
