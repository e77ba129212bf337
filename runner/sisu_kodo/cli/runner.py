"""`sisu runner`: the process that executes steps."""

from __future__ import annotations

import asyncio
import gc
import os
import sys

import click

from .. import database, logs
from ..config import Config, load_config
from ..names import worker_name
from ..registry import load_all
from ..sockets import listening
from ..worker import DEFAULT_QUEUES, RunnerOptions, Worker

_EPILOG = """
\b
Signals
  first SIGTERM or SIGINT   drain: claim nothing new, finish the steps in hand, exit 0
  second                    give the leases back and leave at once, exit 143 or 130

\b
Exit codes
  0    drained, or done with --once or --until-idle
  1    failed             2  wrong usage             5  the database refused or cannot be used
  130  left at once after SIGINT                     143  after SIGTERM

\b
Handlers: those that ship with sisu, those of installed packages (entry points of the group
sisu_kodo.handlers), and the modules of --import or SISU_IMPORT (comma separated).

\b
Name: without --name the lowest free one of <host>-<user>-1, -2, …; a restart takes the same name
again and gets its old leases back at once. Containers that share a host name need --name.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--concurrency", type=click.IntRange(1, 10000), default=10, show_default=True, help="Slots per queue."
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME[=SLOTS]",
    help="Serve this queue; may be repeated.  [default: all]",
)
@click.option("--name", help="Worker name, unique among live runners.")
@click.option("--app-version", help="Claim only runs of this version.  [default: DBOS__APPVERSION]")
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    envvar="SISU_IMPORT",
    help="Load handlers; may be repeated.",
)
@click.option(
    "--pumps", type=click.IntRange(1, 16), default=2, show_default=True, help="Connections that carry work."
)
@click.option(
    "--listen/--no-listen", default=True, help="Be told of ready work, or only poll.  [default: listen]"
)
@click.option(
    "--heartbeat",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Well below the shortest lease; a worker that is silent for 15 s counts as gone.",
)
@click.option("--once", is_flag=True, help="Claim one batch, finish it, leave.")
@click.option("--until-idle", is_flag=True, help="Leave when there is nothing left to claim.")
@click.option(
    "--admin-port", type=click.IntRange(0, 65535), help="Serve /healthz, /readyz and /metrics there."
)
@click.option("--admin-host", default="127.0.0.1", show_default=True, help="Address of the admin port.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--log-json/--log-text", default=None, help="Form of the logs.  [default: JSON unless a terminal]"
)
def runner(
    concurrency: int,
    queues: tuple[str, ...],
    name: str | None,
    app_version: str | None,
    modules: tuple[str, ...],
    pumps: int,
    listen: bool,
    heartbeat: float,
    once: bool,
    until_idle: bool,
    admin_port: int | None,
    admin_host: str,
    log_level: str,
    log_json: bool | None,
) -> None:
    """Execute steps until told to stop."""
    logs.setup(log_level, as_json=log_json)
    config = load_config(app_version=app_version)
    wanted = tuple(word for each in modules for word in each.split(",") if word)
    with worker_name(name) as held:
        options = RunnerOptions(
            name=held,
            queues=slots(queues or DEFAULT_QUEUES, concurrency),
            pumps=pumps,
            listen=listen,
            heartbeat_interval=heartbeat,
            once=once,
            until_idle=until_idle,
            admin=None if admin_port is None else listening(admin_host, admin_port, "ADMIN_PORT"),
        )
        code = run(config, options, wanted)
    leave(code)


def run(config: Config, options: RunnerOptions, modules: tuple[str, ...] = ()) -> int:
    """Load the handlers, find the database, work. Returns the exit code; raises what the database package
    raises.
    """
    try:
        registry = load_all(modules)
    except Exception as error:
        raise click.ClickException(
            f"the handlers cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    dsn = config.database_url or database.ensure_up(config)
    # what is loaded by now stays; steps make many short-lived objects: collecting often costs a tenth
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

    async def work() -> int:
        return await Worker(dsn, config, registry, options).run()

    return asyncio.run(work())


def slots(queues: tuple[str, ...], concurrency: int) -> dict[str, int]:
    """`("intentQ", "sbxQ=4")` and 10 → `{"intentQ": 10, "sbxQ": 4}`. Raises click.BadParameter."""
    found: dict[str, int] = {}
    for word in queues:
        queue, _, count = word.partition("=")
        if not queue or (count and not count.isdigit()) or count == "0":
            raise click.BadParameter(f"{word!r} is not NAME or NAME=SLOTS", param_hint="--queue")
        found[queue] = int(count or concurrency)
    return found


def leave(code: int) -> None:
    """Leave the process without waiting for handler threads that outlived their timeouts."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
