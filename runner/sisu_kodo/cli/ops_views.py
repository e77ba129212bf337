"""`sisu ops`, the half that only looks: inbox, failures, gates, queues, slow steps, explanations."""

from __future__ import annotations

import sys

import click

from . import render, render_ops
from .given import readable
from .runs import json_option, open_client

_SHOWN = 20
"""Items of a kind that the inbox shows unless told otherwise."""


def add_to(ops: click.Group) -> None:
    """Make these commands part of `sisu ops`."""
    for command in (inbox, explain, list_failed, gates, diff, slow, queues):
        ops.add_command(command)


def run_ids(given: tuple[str, ...]) -> list[str]:
    """The ids that were given, or those on standard input, each once. Raises click.UsageError."""
    if not given and not sys.stdin.isatty():
        try:
            given = tuple(word for line in sys.stdin for word in line.split())
        except UnicodeDecodeError:
            raise click.UsageError("standard input is not UTF-8") from None
        readable(given)
    if not given:
        raise click.UsageError("no run ids: give them as arguments, or on standard input")
    return list(dict.fromkeys(given))


ids_option = click.option("--ids", is_flag=True, help="Print only the run ids, for a pipe.")


@click.command()
@click.option("--kind", type=click.Choice(render_ops.KINDS), help="Only what is of this kind.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    help="At most so many of a kind.  [default: 20; with --ids or --json all]",
)
@ids_option
@json_option
def inbox(kind: str | None, limit: int | None, ids: bool, as_json: bool) -> None:
    """Show what needs a human, each with the call that helps."""
    with open_client() as client:
        rows = client.inbox(kind)
    if ids:
        render_ops.ids(row["run_id"] for row in render_ops.so_many(rows, limit))
    elif as_json:
        render.say_json(render_ops.so_many(rows, limit))
    else:
        render_ops.inbox(rows, _SHOWN if limit is None else limit)


@click.command()
@click.argument("runs", nargs=-1)
@json_option
def explain(runs: tuple[str, ...], as_json: bool) -> None:
    """Say why runs are not moving, and what would unblock them."""
    wanted = run_ids(runs)
    with open_client() as client:
        rows = [client.explain(run) for run in wanted]
    render_ops.explanations(rows, as_json)


@click.command("list-failed")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--recipe", "name", help="Only runs of this recipe.")
@ids_option
@json_option
def list_failed(limit: int, name: str | None, ids: bool, as_json: bool) -> None:
    """List runs that ended in ERROR, newest first."""
    with open_client() as client:
        page = client.runs(status="ERROR", name=name, limit=limit)
    if ids:
        render_ops.ids(run["workflowID"] for run in page["runs"])
    else:
        render_ops.failed(page, as_json)


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@ids_option
@json_option
def gates(limit: int, ids: bool, as_json: bool) -> None:
    """List open gates, each with the call that answers it."""
    with open_client() as client:
        rows = client.gates_open(limit)
    if ids:
        render_ops.ids(row["run_id"] for row in rows)
    else:
        render_ops.gates(rows, as_json)


@click.command()
@click.argument("a")
@click.argument("b")
@json_option
def diff(a: str, b: str, as_json: bool) -> None:
    """Compare two runs step by step: a fork B with its source A."""
    with open_client() as client:
        render_ops.diff(a, b, client.fork_diff(a, b), as_json)


@click.command()
@json_option
def slow(as_json: bool) -> None:
    """Show how long steps take, slowest first."""
    with open_client() as client:
        render_ops.slow(client.slow_steps(), as_json)


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Show what waits and what is at work, per partition."""
    with open_client() as client:
        render_ops.queues(client.queue_depth(), as_json)
