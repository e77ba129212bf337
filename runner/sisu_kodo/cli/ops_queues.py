"""`sisu ops`, the part that is about queues: pause, limits, weights of partitions."""

from __future__ import annotations

import re
from typing import Any

import click

from . import render_ops
from .runs import open_client, signed

_LIMITS_EPILOG = """
\b
Examples
  sisu ops limits sbxQ --max-running 10 --reason 'ten sandboxes'
  sisu ops limits intentQ --rate 50/30s --rate-per-partition 5/30s --reason 'as the planner allows'
  sisu ops limits sbxQ --max-running none --reason 'there is room again' --dry-run
  sisu ops queues                                       what waits, what is at work, and the limits

A limit that is not named stays as it is. One below what runs stops nothing: no more is handed out until
there is room.
"""
_WEIGHT_EPILOG = """
\b
Examples
  sisu ops weight intentQ acme 3 --reason 'three times the share of the others'
  sisu ops weight intentQ acme 1 --max-running 5 --reason 'no more than five at once'
  sisu ops weight intentQ acme 1 --max-running none --reason 'like any other'
"""
_PAUSE_EPILOG = """
\b
Examples
  sisu ops pause sbxQ --reason 'sandbox host is full'
  sisu ops pause intentQ --partition acme --reason 'floods us' --dry-run
  sisu ops unpause intentQ --partition acme --reason 'talked to them'
"""
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def add_to(ops: click.Group) -> None:
    """Make these commands part of `sisu ops`."""
    for command in (pause, unpause, limits, weight):
        ops.add_command(command)


def as_limit(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    """A count, or none. Raises click.BadParameter."""
    if value is None or value == "none":
        return value
    if not re.fullmatch(r"\d{1,9}", value):
        raise click.BadParameter(f"{value!r} is neither a number nor none", param=option)
    return int(value)


def as_rate(_: click.Context, option: click.Parameter, value: str | None) -> Any:
    """`50/30s` as `{limit, seconds}`, or none. Raises click.BadParameter."""
    if value is None or value == "none":
        return value
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})([smh]?)", value)
    if not found:
        raise click.BadParameter(f"{value!r} is neither a rate like 50/30s, 100/1m nor none", param=option)
    return {"limit": int(found[1]), "seconds": int(found[2]) * _SECONDS[found[3]]}


def given(**options: Any) -> dict[str, Any]:
    """Those that were named; the word none is None."""
    return {name: None if value == "none" else value for name, value in options.items() if value is not None}


partition_option = click.option("--partition", help="Only this partition of it.")


@click.command(epilog=_PAUSE_EPILOG)
@click.argument("queue")
@partition_option
@signed
def pause(queue: str, partition: str | None, dry_run: bool, as_json: bool, **who: Any) -> None:
    """Hand out no more steps of QUEUE.

    What is under way goes on.
    """
    with open_client() as client:
        answer = client.pause_queue(queue, partition=partition, dry_run=dry_run, **who)
    render_ops.queue_switched(answer, as_json)


@click.command(epilog=_PAUSE_EPILOG)
@click.argument("queue")
@partition_option
@signed
def unpause(queue: str, partition: str | None, dry_run: bool, as_json: bool, **who: Any) -> None:
    """Serve QUEUE again."""
    with open_client() as client:
        answer = client.pause_queue(queue, partition=partition, pause=False, dry_run=dry_run, **who)
    render_ops.queue_switched(answer, as_json)


@click.command(epilog=_LIMITS_EPILOG)
@click.argument("queue")
@click.option("--max-running", callback=as_limit, metavar="N|none", help="Steps at once.")
@click.option(
    "--max-running-per-partition", callback=as_limit, metavar="N|none", help="Steps of one partition at once."
)
@click.option(
    "--max-running-per-worker", callback=as_limit, metavar="N|none", help="Steps of one worker at once."
)
@click.option(
    "--rate", callback=as_rate, metavar="N/TIME|none", help="Steps handed out within a time, like 50/30s."
)
@click.option(
    "--rate-per-partition", callback=as_rate, metavar="N/TIME|none", help="The same for one partition."
)
@click.option(
    "--ageing",
    callback=as_limit,
    metavar="N|none",
    help="Seconds after which a step gets a turn whatever its priority.",
)
@signed
def limits(queue: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Say how much of QUEUE may be at work at once, and how fast."""
    who = {name: options.pop(name) for name in ("actor", "reason")}
    names = {"ageing": "ageing_seconds"}
    wanted = given(**{render_ops.camel(names.get(name, name)): value for name, value in options.items()})
    if not wanted:
        raise click.UsageError("name at least one limit; `sisu ops queues` shows them")
    with open_client() as client:
        render_ops.limits(client.set_limits(queue, wanted, dry_run=dry_run, **who), as_json)


@click.command(epilog=_WEIGHT_EPILOG)
@click.argument("queue")
@click.argument("partition")
@click.argument("weight", type=click.IntRange(1, 100))
@click.option(
    "--max-running",
    callback=as_limit,
    metavar="N|none",
    help="Steps of it at once, instead of the limit of the queue.",
)
@signed
def weight(
    queue: str,
    partition: str,
    weight: int,
    max_running: Any,
    dry_run: bool,
    as_json: bool,
    **who: Any,
) -> None:
    """Give PARTITION of QUEUE so many turns for each turn of another."""
    options = given(weight=weight, maxRunning=max_running)
    with open_client() as client:
        answer = client.set_partition(queue, partition, options, dry_run=dry_run, **who)
    render_ops.partition_set(answer, as_json)
