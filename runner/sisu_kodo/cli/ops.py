"""`sisu ops`: what a person on duty does to runs and queues, each an audited call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from ..client import Client
from ..errors import Conflict, NotFound, SisuError
from . import ops_purge, ops_queues, ops_views, render_ops
from .given import parsed
from .runs import open_client, signed

_EPILOG = """
\b
Examples
  sisu ops inbox                                        what needs a human, each with the call that helps
  sisu ops explain RUN                                  why it is not moving
  sisu ops cancel RUN --reason stalled
  sisu ops list-failed --ids | sisu ops repair --reason 'service is back'
  sisu ops repair --filter '{"errorCode": "infra", "newerThanMS": 3600000}' --reason 'back again' --dry-run
  sisu ops fork RUN --step 2 --reason patch-applied     then: sisu ops diff RUN RUN-f1
  sisu ops pause sbxQ --reason 'sandbox host is full'   or one partition: --partition acme
  sisu ops limits sbxQ --max-running 10 --rate 50/30s --reason 'the service asks for it'
  sisu ops purge --older-than 30d --reason retention --all

Runs come from the arguments, from --filter, or one id per line from standard input. A call takes up to 1000
of them in one transaction. The exit code is that of the first refusal; the other runs are done all the same.
"""
_RUNS_EPILOG = """
\b
Examples
  sisu ops cancel RUN --reason stalled
  sisu ops list-failed --ids | sisu ops repair --reason 'service is back' --dry-run
  sisu ops inbox --kind 'dead lane' --ids | sisu ops resume --reason 'worker has more memory'
  sisu ops fork RUN1 RUN2 --step 2 --reason patch-applied --app-version 1.1
  sisu ops cancel --filter '{"name": "nightly", "partition": "acme"}' --reason 'customer asked'

\b
Exit codes
  0 all done    2 wrong usage, nothing done    3 or 4 one was refused: no such run, or its status forbids it
"""
_AT_ONCE = 1000
"""As many ids as `app.cancel_batch` and its like take."""

Call = Callable[[Client, Mapping[str, Any]], list[dict[str, Any]]]


@click.group(epilog=_EPILOG)
def ops() -> None:
    """On duty: what needs a human, and what a human can do."""


def on_runs(function: Callable[..., None]) -> Callable[..., None]:
    """The options of an action on many runs."""
    words = "JSON object: status, name, queue, partition, errorCode, olderThanMS, newerThanMS, limit."
    for option in (
        signed,
        click.option(
            "--filter", "wanted", metavar="JSON", help=f"The newest runs that fit instead of ids. {words}"
        ),
        click.argument("runs", nargs=-1),
    ):
        function = option(function)
    return function


@ops.command(epilog=_RUNS_EPILOG)
@on_runs
def cancel(runs: tuple[str, ...], wanted: str | None, dry_run: bool, as_json: bool, **who: Any) -> None:
    """Stop runs at their next step boundary."""
    act("cancel", runs, wanted, dry_run, as_json, who)


@ops.command(epilog=_RUNS_EPILOG)
@on_runs
def resume(runs: tuple[str, ...], wanted: str | None, dry_run: bool, as_json: bool, **who: Any) -> None:
    """Let cancelled runs and dead lanes go on where they were."""
    act("resume", runs, wanted, dry_run, as_json, who)


@ops.command(epilog=_RUNS_EPILOG)
@on_runs
def repair(runs: tuple[str, ...], wanted: str | None, dry_run: bool, as_json: bool, **who: Any) -> None:
    """Give the failed step of failed runs a new attempt."""
    act("repair", runs, wanted, dry_run, as_json, who)


@ops.command(epilog=_RUNS_EPILOG)
@click.option(
    "--step",
    "step_n",
    type=click.IntRange(0, 1_000_000),
    required=True,
    help="First step that runs again, from 0.",
)
@click.option("--app-version", help="Who may execute the fork.  [default: as the source]")
@click.option("--inputs", metavar="JSON", help="Object laid over the inputs of the intent.")
@on_runs
def fork(
    runs: tuple[str, ...],
    wanted: str | None,
    step_n: int,
    app_version: str | None,
    inputs: str | None,
    dry_run: bool,
    as_json: bool,
    **who: Any,
) -> None:
    """Run again from a step on, under a new id.

    Finished steps before it are reused, and the run that is forked stays as it is.
    """
    patch: Any = None if inputs is None else parsed("--inputs", inputs)

    def call(client: Client, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
        more = {"app_version": app_version, "inputs": patch, "dry_run": dry_run}
        return client.fork_batch(chosen, step_n, **who, **more)

    report("fork", selections(runs, wanted), call, dry_run, as_json)


@ops.command()
@click.argument("queue")
@click.option("--max", "max_runs", type=click.IntRange(1, _AT_ONCE), default=100, show_default=True)
@signed
def redrive(queue: str, max_runs: int, dry_run: bool, as_json: bool, **who: Any) -> None:
    """Resume the dead lanes of QUEUE, oldest first."""

    def call(client: Client, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        return client.redrive(queue, max_runs=max_runs, dry_run=dry_run, **who)

    report("resume", iter([{}]), call, dry_run, as_json)


ops_views.add_to(ops)
ops_queues.add_to(ops)
ops.add_command(ops_purge.purge)


def act(
    action: str, runs: tuple[str, ...], wanted: str | None, dry_run: bool, as_json: bool, who: dict[str, Any]
) -> None:
    """Cancel, resume or repair."""

    def call(client: Client, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
        return client.control_batch(action, chosen, dry_run=dry_run, **who)

    report(action, selections(runs, wanted), call, dry_run, as_json)


def report(
    action: str, chosen: Iterator[Mapping[str, Any]], call: Call, dry_run: bool, as_json: bool
) -> None:
    """Call for every selection, tell about every run, leave with the first refusal's exit code."""
    rows: list[dict[str, Any]] = []
    with open_client() as client:
        try:
            for one in chosen:
                rows += call(client, one)
        except SisuError:
            if rows:  # earlier calls are done
                render_ops.batch(action, rows, dry_run, as_json)
            raise
    render_ops.batch(action, rows, dry_run, as_json)
    refused = next((row for row in rows if not row["accepted"]), None)
    if refused is not None:
        sys.exit((NotFound if refused["status"] is None else Conflict).exit_code)


def selections(runs: tuple[str, ...], wanted: str | None) -> Iterator[dict[str, Any]]:
    """What the batch functions take: a filter, or ids a thousand at a time. Raises click.UsageError."""
    if wanted is not None:
        if runs:
            raise click.UsageError("give run ids or --filter, not both")
        return iter([{"filter": parsed("--filter", wanted)}])
    ids = ops_views.run_ids(runs)
    return ({"runIds": ids[at : at + _AT_ONCE]} for at in range(0, len(ids), _AT_ONCE))
