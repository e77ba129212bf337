"""`sisu demo`: the golden path on real input, from an empty machine to the proof, in under a minute."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from .. import database
from ..client import TERMINAL, Client, connected
from ..config import Config, load_config
from . import demo_view as view
from . import render
from .processes import start_runner, stop_sisu

GOAL = "Make the failing tests of broken-calc pass"
PROJECT = "examples/broken-calc"
APP_VERSION = "demo"
"""Of its run and its runner, so that the runner claims nobody else's runs."""
_PATIENCE = 120.0
_EPILOG = """
\b
The same demo again is a replay of the same run; --new makes a new one.
Exit codes: 0 the run ended as announced (SUCCESS, or ERROR with --no-patch), 1 it did not, 5 no database.
"""


@dataclass(frozen=True)
class Demo:
    """One demo: what is asked for and what must come out."""

    patch: bool
    take: str | None

    @property
    def intent(self) -> dict[str, Any]:
        inputs: dict[str, Any] = {"workspace": PROJECT} if Path(PROJECT).is_dir() else {}
        if not self.patch:
            inputs["patch"] = False
        goal = GOAL if self.take is None else f"{GOAL} (take {self.take})"
        return {"goal": goal, "inputs": inputs, "constraints": {}}

    @property
    def expected(self) -> str:
        return "SUCCESS" if self.patch else "ERROR"


@click.command(epilog=_EPILOG)
@click.option(
    "--no-patch", is_flag=True, help="Leave the patch out: the run ends in ERROR, nextAction REPAIR."
)
@click.option("--new", is_flag=True, help="A new run, even if this demo ran before.")
@render.json_option
def demo(no_patch: bool, new: bool, as_json: bool) -> None:
    """Plan, approve and execute a repair of a small project; show every step and the proof."""
    raise SystemExit(play(load_config(), Demo(not no_patch, secrets.token_hex(2) if new else None), as_json))


def play(config: Config, wanted: Demo, as_json: bool) -> int:
    """Play the demo. Returns 0 when the run ended as announced, else 1."""
    out = Console(quiet=True) if as_json else render.console()
    view.title(out, wanted.patch)
    dsn = database.ensure_up(config)
    database.migrate(dsn, queue_partition=config.sbx_queue_partition)
    database.register_builtin(dsn)
    with connected(dsn) as client:
        view.fact(out, "database", f"{database.where(dsn)}, migrated")
        begun = begin(client, wanted)
        run_id, replay = str(begun["workflowID"]), bool(begun["isReplay"])
        view.fact(out, "run", run_id)
        view.fact(out, "", "a replay: this demo ran before" if replay else "new")
        if begun["status"] not in TERMINAL:
            with demo_runner(config, out) as runner:
                follow(client, run_id, runner, out, as_json)
        header = client.run(run_id)
        show(client, header, out, as_json, replay)
    return 0 if header["status"] == wanted.expected else 1


def begin(client: Client, wanted: Demo) -> dict[str, Any]:
    """Start the run, or meet it again; the run header with `isReplay`."""
    created = client.create_intent(wanted.intent)
    return client.start_run(
        created["intentId"],
        queuePartitionKey="demo",
        ocMode="replay",
        sbxMode="live",
        lane="interactive",
        appVersion=APP_VERSION,
    )


@contextmanager
def demo_runner(config: Config, out: Console) -> Iterator[subprocess.Popen[bytes]]:
    """A runner for the length of the block; its log goes to a file under sisu_home."""
    log = config.sisu_home / "demo" / "runner.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        process = start_runner(
            ["--log-json", f"--app-version={APP_VERSION}"],
            {"SBX_PROVIDER": "local", "SISU_HOME": str(config.sisu_home)},
            file,
        )
    view.fact(out, "runner", f"process {process.pid}, log {_short(log)}")
    try:
        yield process
    finally:
        stop_sisu(process, patience=5.0)


def follow(client: Client, run_id: str, runner: subprocess.Popen[bytes], out: Console, as_json: bool) -> None:
    """Show the run until it ends; approve the plan when it is asked for, after showing it."""
    out.print()
    seen: set[tuple[str, int, str]] = set()
    with render.live(as_json, seen) as progress:
        watch(client, run_id, runner, progress, TERMINAL | {"WAITING_INPUT"})
    if client.run(run_id)["status"] == "WAITING_INPUT":
        view.plan(out, client, run_id)
        client.approve_plan(run_id, "demo", notes="seen in sisu demo")
        view.approved(out)
        with render.live(as_json, seen) as progress:
            watch(client, run_id, runner, progress, TERMINAL)


def watch(
    client: Client, run_id: str, runner: subprocess.Popen[bytes], progress: render.View, until: frozenset[str]
) -> None:
    """Show progress until the run has one of these statuses. Raises click.ClickException if none comes."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        header = client.run(run_id)
        progress.update(header, client.steps(run_id))
        if header["status"] in until:
            return
        if runner.poll() is not None:
            raise click.ClickException(f"the runner ended with {runner.returncode}; see its log")
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"the run is still {header['status']} after {_PATIENCE:g} s; see the log"
            )
        time.sleep(0.1)


def show(client: Client, header: dict[str, Any], out: Console, as_json: bool, replay: bool) -> None:
    """The end: timeline, artifacts, laws, and what to do next."""
    run_id = str(header["workflowID"])
    timeline, artifacts, laws = client.timeline(run_id), client.artifacts(run_id), client.broken_laws()
    if as_json:
        found = {
            "run": header,
            "isReplay": replay,
            "timeline": timeline,
            "artifacts": artifacts,
            "invariants": laws,
        }
        click.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
        return
    view.timeline(out, timeline)
    view.artifacts(out, artifacts)
    if header["status"] == "ERROR":
        view.failure(out, client, artifacts)
    view.laws(out, laws)
    view.ending(out, header, replay)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
