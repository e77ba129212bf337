"""`sisu`: the group of all subcommands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
import psycopg

from ..config import ConfigError, package_version
from ..database.errors import DatabaseError
from ..errors import SisuError, from_database
from . import api, db, demo, dev, gates, ops, recipes, runner, runs, schedules
from .given import readable

_EPILOG = """
\b
Exit codes
  0 done                         3 not found (404)
  1 failed, or the run failed    4 conflict (409): drift, or a step that the status forbids
  2 wrong usage (400)            5 infrastructure (500)

\b
Completion in bash, likewise in zsh and fish
  eval "$(_SISU_COMPLETE=bash_source sisu)"
"""


class Program(click.Group):
    """Prints any known error to standard error, never a traceback, and leaves with its exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        # a service may have been started without them: Python has None in their place then
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
        return super().main(*args, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        readable(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SisuError as error:
            _explain(error)
            sys.exit(error.exit_code)
        except psycopg.Error as error:
            refusal = from_database(error)
            _explain(refusal)
            sys.exit(refusal.exit_code)
        except (DatabaseError, ConfigError) as error:
            click.echo(f"error: {error}", err=True)
            if hint := getattr(error, "hint", ""):
                click.echo(f"hint:  {hint}", err=True)
            sys.exit(2 if isinstance(error, ConfigError) else 5)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)


@click.group(cls=Program, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version(), prog_name="sisu")
def main() -> None:
    """Durable runs on Postgres: start them, watch them, approve their plans, execute their steps."""


def _explain(error: SisuError) -> None:
    click.echo(f"error: {error.message} ({error.code})", err=True)
    for detail in error.details:
        click.echo(f"       {detail.get('path') or '(whole)'}: {detail.get('message')}", err=True)
    for drift in error.drift:
        existing, incoming = json.dumps(drift.get("existing")), json.dumps(drift.get("incoming"))
        click.echo(f"       {drift.get('field')}: stored {existing}, given {incoming}", err=True)
    if error.hint:
        click.echo(f"hint:  {error.hint}", err=True)


main.add_command(runner.runner)
main.add_command(api.api)
main.add_command(api.token)
main.add_command(runs.start)
main.add_command(runs.show)
main.add_command(gates.approve)
main.add_command(gates.reply)
main.add_command(runs.list_runs)
main.add_command(runs.artifact)
main.add_command(runs.sleep)
main.add_command(recipes.recipe)
main.add_command(schedules.schedule)
main.add_command(ops.ops)
ops.ops.add_command(schedules.list_schedules)
main.add_command(db.db)
main.add_command(dev.dev)
main.add_command(demo.demo)
