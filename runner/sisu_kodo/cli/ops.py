"""`sisu ops`: what a person on duty does to runs, one audited call each."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from typing import Any

import click

from ..client import Client
from ..errors import SisuError
from . import render
from .runs import json_option, open_client

_EPILOG = """
\b
Examples
  sisu ops explain RUN
  sisu ops cancel RUN --reason stalled
  sisu ops list-failed --ids | sisu ops repair --reason 'service is back'
  sisu ops fork RUN --step 2 --reason patch-applied

Run ids come from the arguments, or one per line from standard input. The exit code is that of the first
refusal; the other runs are done all the same.
"""


@click.group(epilog=_EPILOG)
def ops() -> None:
    """On duty: find failed runs, explain, cancel, resume, repair, fork; list schedules."""


def controls(function: Callable[..., None]) -> Callable[..., None]:
    """The options that every control action takes."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing."),
        click.option("--reason", required=True, help="Why; kept with the audit artifact."),
        click.option("--actor", default=getpass.getuser, show_default="you", help="Who."),
        click.argument("runs", nargs=-1),
    ):
        function = option(function)
    return function


@ops.command()
@controls
def cancel(runs: tuple[str, ...], actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Stop runs at their next step boundary."""
    each("cancel", runs, as_json, lambda client, run: client.control("cancel", run, actor, reason, dry_run))


@ops.command()
@controls
def resume(runs: tuple[str, ...], actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let cancelled or poisoned runs go on at their last checkpoint."""
    each("resume", runs, as_json, lambda client, run: client.control("resume", run, actor, reason, dry_run))


@ops.command()
@controls
def repair(runs: tuple[str, ...], actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Give the failed step of failed runs a new attempt."""
    each("repair", runs, as_json, lambda client, run: client.control("repair", run, actor, reason, dry_run))


@ops.command()
@click.option("--step", "step_n", type=int, required=True, help="First step that runs again, from 0.")
@click.option("--app-version", help="Who may execute the fork.  [default: as the source]")
@click.option("--inputs", help="JSON object laid over the inputs of the intent.")
@controls
def fork(
    runs: tuple[str, ...],
    step_n: int,
    app_version: str | None,
    inputs: str | None,
    actor: str,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fork runs: finished steps before STEP are reused, the rest runs again under a new id."""
    try:
        patch = None if inputs is None else json.loads(inputs)
    except ValueError as error:
        raise click.UsageError(f"--inputs is not JSON: {error}") from error

    def call(client: Client, run: str) -> dict[str, Any]:
        return client.fork(run, step_n, actor, reason, app_version=app_version, inputs=patch, dry_run=dry_run)

    each("fork", runs, as_json, call)


@ops.command()
@click.argument("run")
@json_option
def explain(run: str, as_json: bool) -> None:
    """Say why a run is not moving, and what would unblock it."""
    with open_client() as client:
        render.explanation(client.explain(run), as_json)


@ops.command("list-failed")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--ids", is_flag=True, help="Print only the run ids, for a pipe.")
@json_option
def list_failed(limit: int, ids: bool, as_json: bool) -> None:
    """List runs that ended in ERROR, newest first."""
    with open_client() as client:
        page = client.runs(status="ERROR", limit=limit)
    if ids:
        for header in page["runs"]:
            click.echo(header["workflowID"])
        return
    render.runs(page, as_json)


def each(
    action: str, runs: tuple[str, ...], as_json: bool, call: Callable[[Client, str], dict[str, Any]]
) -> None:
    """Call for every run, report on every run, leave with the first refusal's exit code."""
    wanted = runs or tuple(word for line in sys.stdin for word in line.split())
    if not wanted:
        raise click.UsageError("no run ids: give them as arguments, or on standard input")
    answers: list[dict[str, Any]] = []
    code = 0
    with open_client() as client:
        for run in wanted:
            try:
                answers.append(call(client, run))
            except SisuError as error:
                code = code or error.exit_code
                answers.append({"workflowID": run, "error": error.message, "code": error.code})
    render.controlled(action, answers, as_json)
    sys.exit(code)
