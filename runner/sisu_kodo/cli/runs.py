"""`sisu start | show | list | artifact | sleep`: what a caller does with runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from .. import database
from ..client import TERMINAL, Client, connected
from ..config import load_config
from . import render
from .given import myself, parsed_file, parsed_or_text

json_option = render.json_option


def signed(function: Callable[..., None]) -> Callable[..., None]:
    """The options that every control action takes."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing."),
        click.option("--reason", required=True, help="Why; kept with the audit artifact."),
        click.option("--actor", default=myself, show_default="you", help="Who."),
    ):
        function = option(function)
    return function


@contextmanager
def open_client() -> Iterator[Client]:
    """A client on the configured database; starts the embedded engine if there is no other."""
    config = load_config()
    with connected(database.ensure_up(config), config.trace_base_url) as client:
        yield client


@click.command()
@click.option("--goal", help="What is to be achieved.")
@click.option(
    "--intent", "file", type=click.File("r"), help="The whole intent as a JSON file, or - for standard input."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An input; VALUE is JSON if it reads as such.",
)
@click.option("--recipe", help="Recipe name.  [default: the setting default_recipe]")
@click.option("--recipe-version", type=int, help="Recipe version.  [default: the active one]")
@click.option("--partition", help="Queue partition key.")
@click.option("--lane", type=click.Choice(["interactive", "batch"]))
@click.option("--priority", type=int)
@click.option("--by", "started_by", help="Who starts it; a gate without self approval wants it.")
@click.option(
    "--oc-mode", type=click.Choice(["replay", "record", "live"]), envvar="OC_MODE", show_envvar=True
)
@click.option("--sbx-mode", type=click.Choice(["mock", "live"]), envvar="SBX_MODE", show_envvar=True)
@click.option("--app-version", envvar="DBOS__APPVERSION", show_envvar=True, help="Who may execute it.")
@click.option("--wait", is_flag=True, help="Wait for the end; exit code 1 unless it is SUCCESS.")
@json_option
def start(
    goal: str | None, file: Any, inputs: tuple[str, ...], wait: bool, as_json: bool, **options: Any
) -> None:
    """Start a run of an intent. The same again is a replay of the same run."""
    intent = read_intent(goal, file, inputs)
    with open_client() as client:
        begun = begin(client, intent, options)
        if not wait:
            render.started(begun, as_json)
            return
        if not as_json:
            render.started(begun, as_json)
        sys.exit(watch(client, begun["workflowID"], as_json))


@click.command()
@click.argument("run")
@click.option("--watch", "watching", is_flag=True, help="Follow until the run ends.")
@json_option
def show(run: str, watching: bool, as_json: bool) -> None:
    """Show a run: status, steps, open gates, artifacts."""
    with open_client() as client:
        if watching:
            sys.exit(watch(client, run, as_json))
        render.run(details(client, run), as_json)


@click.command()
@click.argument("run")
@click.argument("ms", type=click.IntRange(0, 31_536_000_000))
@click.option("--wait", is_flag=True, help="Wait until it wakes.")
@json_option
def sleep(run: str, ms: int, wait: bool, as_json: bool) -> None:
    """Start a run under the id RUN that sleeps MS milliseconds, whatever happens meanwhile."""
    with open_client() as client:
        begun = client.sleep_run(run, ms)
        if not (wait and as_json):
            render.started(begun, as_json)
        if wait:
            sys.exit(watch(client, run, as_json))


@click.command("list")
@click.option("--status", help="Only runs in this status.")
@click.option("--recipe", "name", help="Only runs of this recipe.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--cursor", help="Continue where a list ended.")
@json_option
def list_runs(status: str | None, name: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List runs, newest first."""
    with open_client() as client:
        render.runs(client.runs(status=status, name=name, limit=limit, cursor=cursor), as_json)


@click.command()
@click.argument("artifact_id", type=click.IntRange(1, 2**63 - 1))
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def artifact(artifact_id: int, output: Path | None) -> None:
    """Write the bytes of an artifact to standard output."""
    with open_client() as client:
        body = client.artifact(artifact_id).body
    if output is not None:
        output.write_bytes(body)
    else:
        sys.stdout.buffer.write(body)


def read_intent(goal: str | None, file: Any, inputs: tuple[str, ...]) -> dict[str, Any]:
    """The intent from the options. Raises click.UsageError."""
    if (goal is None) == (file is None):
        raise click.UsageError("give either --goal or --intent")
    intent: dict[str, Any] = {"goal": goal, "inputs": {}, "constraints": {}}
    if file is not None:
        intent = parsed_file("--intent", file)
    for word in inputs:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise click.UsageError(f"--input {word!r} is not KEY=VALUE")
        if not isinstance(intent, dict) or not isinstance(intent.setdefault("inputs", {}), dict):
            raise click.UsageError("--input needs an intent whose inputs are an object")
        intent["inputs"][key] = parsed_or_text(f"--input {key}", value)
    return intent


def begin(client: Client, intent: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Create the intent, start its run; the run header with `isReplay`."""
    names = {
        "recipe": "recipeName",
        "recipe_version": "recipeVersion",
        "partition": "queuePartitionKey",
        "oc_mode": "ocMode",
        "sbx_mode": "sbxMode",
        "app_version": "appVersion",
        "started_by": "startedBy",
    }
    given = {names.get(name, name): value for name, value in options.items()}
    with client.transaction():
        created = client.create_intent(intent)
        return client.start_run(created["intentId"], **given)


def details(client: Client, run_id: str) -> dict[str, Any]:
    """`{run, steps, gates, artifacts}`"""
    return {
        "run": client.run(run_id),
        "steps": client.steps(run_id),
        "gates": client.gates(run_id),
        "artifacts": client.artifacts(run_id),
    }


def watch(client: Client, run_id: str, as_json: bool, interval: float = 0.25) -> int:
    """Show the run until it ends. Returns 0 for SUCCESS, else 1."""
    with render.live(as_json) as view:
        while True:
            header = client.run(run_id)
            view.update(header, client.steps(run_id))
            if header["status"] in TERMINAL:
                break
            time.sleep(interval)
    render.run(details(client, run_id), as_json)
    return 0 if header["status"] == "SUCCESS" else 1
