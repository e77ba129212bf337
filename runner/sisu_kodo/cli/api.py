"""`sisu api`: the HTTP shim. `sisu token`: who may use it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from functools import partial
from typing import Any

import click
import psycopg

from .. import database, logs
from ..config import Config, load_config
from ..database.errors import DatabaseError
from ..errors import translated
from ..http.admin import admin_app, pool_families
from ..http.app import Application
from ..http.health import Readiness, check_parity, shipped_code
from ..http.server import Server, server
from ..http.settings import HttpSettings, http_settings, is_loopback
from ..http.tokens import ROLES, new_token
from ..queries import query
from ..sockets import listening
from ..telemetry import traced
from ..ui import ROUTERS as PAGES

_EPILOG = """
\b
It keeps nothing: start as many as you like beside one another. Anything but loopback wants tokens
(SISU_TOKENS or SISU_TOKENS_FILE). First SIGTERM or SIGINT finishes what is under way, the second leaves at
once.

\b
Exit codes
  0  left in order    2  a setting cannot be used    5  the database refused or cannot be used
"""
_log = logs.Log("sisu_kodo.cli.api")


@click.command(epilog=_EPILOG)
@click.option("--host", help="Address to listen on.  [default: SISU_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: PORT, 3000]")
@click.option(
    "--admin-port", type=click.IntRange(0, 65535), help="Also serve /healthz, /readyz and /metrics there."
)
@click.option(
    "--admin-host",
    default="127.0.0.1",
    show_default=True,
    help="Address of the admin port.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--log-json/--log-text", default=None, help="Form of the logs.  [default: JSON unless a terminal]"
)
def api(
    host: str | None,
    port: int | None,
    admin_port: int | None,
    admin_host: str,
    log_level: str,
    log_json: bool | None,
) -> None:
    """Serve the HTTP API."""
    logs.setup(log_level, as_json=log_json)
    logs.adopt("uvicorn.error", "psycopg.pool")
    config = load_config(host=host, port=port)
    settings = http_settings(config, config.database_url or database.ensure_up(config))
    application = prepare(config, settings)
    application.asgi = traced(application.asgi, config, f"api-{socket.gethostname()}-{os.getpid()}")
    sockets = [listening(settings.host, settings.port, "PORT")]
    if admin_port is not None:
        sockets.append(listening(admin_host, admin_port, "ADMIN_PORT"))
    serve(application, sockets)


@click.command()
@click.argument("name")
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May be repeated."
)
def token(name: str, roles: tuple[str, ...]) -> None:
    """Make a token for NAME: itself, and the line for SISU_TOKENS_FILE, which holds only its hash."""
    try:
        made, entry = new_token(name, "+".join(roles))
    except ValueError as error:
        raise click.UsageError(f"{name!r} {error}") from error
    click.echo(f"token  {made}")
    click.echo(f"entry  {entry}")


def prepare(config: Config, settings: HttpSettings) -> Application:
    """The application on a database that answers and agrees with the environment. Raises ConfigError,
    DatabaseError, SisuError.
    """
    with translated(), database.connect(settings.dsn) as connection:
        found, arguments = (_value(connection, name) for name in ("health", "arguments"))
    check_parity(config, found)
    if found["codeHash"] != shipped_code():
        _log.warning("api.schema_differs", hint="sisu db migrate brings the database to this version")
    if found["appVersion"] != config.app_version:
        _log.warning("api.version_differs", this=config.app_version, new_runs=found["appVersion"])
    return Application(settings, arguments, PAGES)


def serve(application: Application, sockets: list[socket.socket]) -> None:
    """Serve on the first socket, and on a second one the admin port, until told to stop."""
    asyncio.run(_serve(application, sockets))


async def _serve(application: Application, sockets: list[socket.socket]) -> None:
    settings, shim = application.shim.settings, application.shim
    main = server(
        application.asgi,
        receive_seconds=settings.receive_seconds,
        send_seconds=settings.send_seconds,
        on_stop=shim.stopping.set,
    )
    servers = [main]
    if len(sockets) > 1:
        readiness = Readiness(settings.dsn, settings.app_version, True, shim.stopping.is_set)
        process = lambda: pool_families(shim.engine.stats())  # noqa: E731
        servers.append(server(admin_app(readiness, (shim.metrics.registry,), process), lifespan=False))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, partial(_stop, servers))
    address, port = sockets[0].getsockname()[:2]
    _log.info("api.started", url=f"http://{'localhost' if is_loopback(settings.host) else address}:{port}")
    await asyncio.gather(*(each.serve(sockets=[own]) for each, own in zip(servers, sockets, strict=True)))
    _log.info("api.left")


def _stop(servers: list[Server]) -> None:
    for each in servers:
        each.stop(at_once=each.should_exit)


def _value(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(query(statement)).fetchone()
    if row is None or row[0] is None:
        raise DatabaseError(f"{statement} gave no answer", "sisu db migrate")
    return row[0]
