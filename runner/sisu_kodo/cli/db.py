"""`sisu db`: the database of this project, embedded or given by DATABASE_URL.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 refused · 4 (status) not running or migrated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg

from .. import database
from ..config import Config, ConfigError, load_config
from ..database.errors import DatabaseError, Refused
from ..errors import first_line

FAILED, REFUSED, NOT_READY = 1, 3, 4

_EXAMPLES = """
\b
Examples:
  sisu db up                            start the embedded Postgres, print its DSN
  sisu db migrate                       bring the schema to this version
  sisu db psql -- -c 'table app.v_invariants'
  sisu db status --json
  DATABASE_URL=postgresql://me@host/db sisu db migrate

\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 (status) not running or not migrated.
"""


@contextmanager
def faults_to_exit_codes() -> Iterator[None]:
    """Print a fault with its hint to stderr and leave with its documented code."""
    try:
        yield
    except psycopg.Error as error:
        click.echo(f"error: {first_line(error)}", err=True)
        sys.exit(FAILED)
    except (DatabaseError, ConfigError) as error:
        click.echo(f"error: {error}", err=True)
        if hint := getattr(error, "hint", ""):
            click.echo(f"hint:  {hint}", err=True)
        sys.exit(REFUSED if isinstance(error, Refused) else FAILED)


def say(answer: dict[str, Any], as_json: bool) -> None:
    """Print an answer as one JSON object, or as aligned lines."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    width = max(map(len, answer))
    for key, value in answer.items():
        click.echo(f"{key:<{width}}  {value}")


def refuse_given_database(config: Config, yes: bool) -> None:
    """Raise Refused unless the caller said --yes to emptying a database that is not the embedded one."""
    if config.database_url and not yes:
        raise Refused(
            f"this would delete every run in {database.where(config.database_url)}", "say --yes to do it"
        )


def is_ready(answer: dict[str, Any]) -> bool:
    """Whether a status answer describes a running, fully migrated database."""
    return bool(answer["running"] and answer.get("revision") and answer.get("codeCurrent"))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("db", epilog=_EXAMPLES)
def db() -> None:
    """The database: start, stop, migrate, look inside."""


@db.command("up")
@json_option
def up(as_json: bool) -> None:
    """Start the embedded Postgres (no-op if it runs) and print its DSN."""
    with faults_to_exit_codes():
        config = load_config()
        dsn = database.ensure_up(config)
        shown = {"where": database.where(dsn)} if config.database_url else {"dsn": dsn}
        say({"running": True, **shown}, as_json)


@db.command("down")
@click.option("--delete-data", is_flag=True, help="Remove the embedded cluster for good.")
@json_option
def down(delete_data: bool, as_json: bool) -> None:
    """Stop the embedded Postgres. A server given by DATABASE_URL is not touched."""
    with faults_to_exit_codes():
        config = load_config()
        stopped = database.down(config)
        if delete_data:
            database.delete(config)
        say({"stopped": stopped, "deleted": delete_data}, as_json)


@db.command("migrate")
@json_option
def migrate(as_json: bool) -> None:
    """Bring the schema, its functions and the shipped recipes to this version."""
    with faults_to_exit_codes():
        config = load_config()
        dsn = database.ensure_up(config)
        database.migrate(dsn, queue_partition=config.sbx_queue_partition)
        database.register_builtin(dsn)
        say(database.status(config), as_json)


@db.command("reset")
@click.option("--yes", is_flag=True, help="Required when DATABASE_URL names the database.")
@click.option("--system", is_flag=True, help="Only the queue tables; nothing is lost.")
@json_option
def reset(yes: bool, system: bool, as_json: bool) -> None:
    """Delete every run and migrate anew; with --system, only rebuild what is derived from the runs."""
    with faults_to_exit_codes():
        config = load_config()
        refuse_given_database(config, yes or system)
        database.register_builtin(database.reset(config, system_only=system))
        say(database.status(config), as_json)


@db.command("psql", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def psql(args: tuple[str, ...]) -> None:
    """Open psql on the database, or pass it ARGS; its exit code is ours."""
    with faults_to_exit_codes():
        sys.exit(database.psql(load_config(), args))


@db.command("status")
@json_option
def status(as_json: bool) -> None:
    """Say whether the database runs and which version it has; exit code 4 when it is not ready."""
    with faults_to_exit_codes():
        answer = database.status(load_config())
        say(answer, as_json)
        sys.exit(0 if is_ready(answer) else NOT_READY)
