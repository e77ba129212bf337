"""`sisu ops purge`: runs that are long over go, their names stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click

from ..client import TERMINAL, Client
from . import render_ops
from .runs import open_client, signed

EPILOG = """
\b
Examples
  sisu ops purge --older-than 30d --reason retention --dry-run       would any go?
  sisu ops purge --older-than 30d --reason retention --all           until nothing is left to purge
  sisu ops purge --older-than 7d --status SUCCESS --status CANCELLED --reason 'failed ones stay longer'
  15 3 * * *  sisu ops purge --older-than 30d --reason nightly --all --json       as a line of a crontab

A run goes with its steps, artifacts, gates and timers; its id stays used: get_run and a repeated start answer
with its last header. A run that has forks goes after them. Each batch is one transaction.
"""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Age(click.ParamType[timedelta]):
    """A number and its unit: 90s, 15m, 12h, 30d, 8w."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhdw])", value)
        if found is None:
            self.fail(f"{value!r} is no age: write 12h, 30d or 8w", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.command(epilog=EPILOG)
@click.option("--older-than", type=Age(), required=True, help="Runs that ended longer ago: 12h, 30d, 8w.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(sorted(TERMINAL)),
    multiple=True,
    help="Again for more.  [default: all]",
)
@click.option(
    "--limit", type=click.IntRange(1, 10000), default=1000, show_default=True, help="Runs in a batch."
)
@click.option("--all", "everything", is_flag=True, help="Batch after batch until nothing is left to purge.")
@signed
def purge(
    older_than: timedelta,
    statuses: tuple[str, ...],
    limit: int,
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **who: Any,
) -> None:
    """Delete runs that are long over; their ids stay used."""
    with open_client() as client:
        batches = purged(client, older_than, statuses, limit, everything and not dry_run, dry_run, who)
        total: dict[str, Any] = {"purged": 0, "bodies": 0, "batches": 0, "more": False, "dryRun": dry_run}
        for batch in batches:
            total |= {name: total[name] + batch[name] for name in ("purged", "bodies")}
            total |= {"batches": total["batches"] + 1, "more": batch["more"]}
            if everything and not as_json:
                render_ops.purge_progress(total)
    render_ops.purged(total, as_json)


def purged(
    client: Client,
    older_than: timedelta,
    statuses: tuple[str, ...],
    limit: int,
    everything: bool,
    dry_run: bool,
    who: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """One batch, or batches until one takes nothing: sources go after the forks that kept them."""
    while True:
        batch = client.purge_runs(
            older_than, statuses=statuses or None, max_runs=limit, dry_run=dry_run, **who
        )
        yield batch
        if not everything or batch["purged"] + batch["bodies"] == 0:
            return
