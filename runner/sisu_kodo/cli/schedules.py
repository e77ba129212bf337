"""`sisu schedule` and `sisu ops schedules`: runs that start by the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.text import Text

from . import render
from .given import myself, parsed_file
from .runs import json_option, open_client

_EPILOG = """
\b
Examples
  sisu schedule next '30 2 * * mon-fri' --tz Europe/Berlin
  sisu schedule put nightly.json --reason 'first version'
  sisu schedule pause nightly --reason 'the source is down'
  sisu ops schedules

\b
nightly.json
  {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "catchUp": "one",
   "intent": {"goal": "report", "inputs": {}, "constraints": {}},
   "options": {"recipeName": "report", "lane": "batch"}}
"""
_STYLES = {"ok": "green", "overdue": "red", "refused": "red", "catching up": "yellow", "paused": "magenta"}


@click.group(epilog=_EPILOG)
def schedule() -> None:
    """Schedules: runs that start by the clock. `sisu ops schedules` lists them."""


def audited(function: Callable[..., None]) -> Callable[..., None]:
    """The options that every change of a schedule takes."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing."),
        click.option("--reason", required=True, help="Why; kept with the audit artifact."),
        click.option("--actor", default=myself, show_default="you", help="Who."),
    ):
        function = option(function)
    return function


@schedule.command()
@click.argument("file", type=click.File("r"))
@audited
def put(file: Any, actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Create or change a schedule (a JSON file, or - for standard input). The same again is a replay."""
    content = parsed_file(file.name, file)
    with open_client() as client:
        answer = client.put_schedule(content, actor, reason, dry_run)
    done = "unchanged" if answer["isReplay"] else "created" if answer["isNew"] else "changed"
    say(answer, done, as_json)


@schedule.command()
@click.argument("name")
@audited
def pause(name: str, actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let no tick of a schedule start any more."""
    with open_client() as client:
        say(client.control_schedule("pause", name, actor, reason, dry_run), "paused", as_json)


@schedule.command()
@click.argument("name")
@audited
def unpause(name: str, actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let a paused schedule go on from now."""
    with open_client() as client:
        say(client.control_schedule("unpause", name, actor, reason, dry_run), "unpaused", as_json)


@schedule.command()
@click.argument("name")
@audited
def delete(name: str, actor: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Delete a schedule; its runs and the record of its ticks stay."""
    with open_client() as client:
        say(client.control_schedule("delete", name, actor, reason, dry_run), "deleted", as_json)


@schedule.command("next")
@click.argument("cron")
@click.option("--tz", "timezone", default="UTC", show_default=True, help="Time zone of the fields.")
@click.option("--count", "-n", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--after", metavar="TIME", help="ISO 8601.  [default: now]")
@json_option
def next_ticks(cron: str, timezone: str, count: int, after: str | None, as_json: bool) -> None:
    """Show the next ticks of a cron expression, as the engine computes them. Exit code 1 if there is none."""
    with open_client() as client:
        ticks = client.cron_ticks(cron, timezone, parse_time(after), count)
    if as_json:
        render.say_json([iso(tick) for tick in ticks])
    for tick in [] if as_json else ticks:
        click.echo(f"{local(tick, timezone)}   {iso(tick)}")
    if not ticks:
        click.echo("no tick within eight years", err=True)
        raise SystemExit(1)


@click.command("schedules")
@json_option
def list_schedules(as_json: bool) -> None:
    """List schedules: how they are, their next tick and what became of the last."""
    with open_client() as client:
        found = client.schedules()
    if as_json:
        render.say_json([{key: jsonable(value) for key, value in row.items()} for row in found])
        return
    if not found:
        click.echo("no schedules")
        return
    grid = render.table("schedule", "cron", "zone", "recipe", "health", "next", "last", fold=("last",))
    for row in found:
        health = Text(row["health"], style=_STYLES.get(row["health"], "dim"))
        upcoming = local(row["next_at"], row["timezone"])
        grid.add_row(row["name"], row["cron"], row["timezone"], row["recipe"], health, upcoming, last_of(row))
    render.console().print(grid)


def last_of(row: dict[str, Any]) -> str:
    """What became of the last tick, in a few words; who paused it and why, if somebody did."""
    if row["paused_at"]:
        return f"by {row['paused_by']}: {row['pause_reason']}"
    if row["last_error"]:
        return render.error_text(row["last_error"])
    if row["last_tick_at"] is None:
        return ""
    return f"{local(row['last_tick_at'], row['timezone'])} {row['last_run_status'] or row['last_outcome']}"


def say(answer: dict[str, Any], done: str, as_json: bool) -> None:
    """What a change of a schedule answers."""
    if as_json:
        render.say_json(answer)
        return
    would = "would be " if answer["dryRun"] and done != "unchanged" else ""
    ahead = answer.get("nextAt")
    when = f"  next {iso(datetime.fromtimestamp(ahead / 1000, UTC))}" if ahead is not None else ""
    click.echo(f"{answer['name']}  {would}{done}{when}")


def parse_time(text: str | None) -> datetime | None:
    """An ISO 8601 time, UTC if it names no zone. Raises UsageError."""
    try:
        given = None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--after: {error}") from error
    return given.replace(tzinfo=UTC) if given is not None and given.tzinfo is None else given


def iso(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def local(time: datetime | None, timezone: str) -> str:
    """The time as a clock of the zone shows it, or in UTC where this machine does not know the zone."""
    if time is None:
        return ""
    try:
        zone: ZoneInfo | None = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = None
    return f"{time.astimezone(zone or UTC):%a %Y-%m-%d %H:%M %Z}"


def jsonable(value: Any) -> Any:
    """Times as ISO 8601, also within lists."""
    if isinstance(value, list):
        return [jsonable(one) for one in value]
    return iso(value) if isinstance(value, datetime) else value
