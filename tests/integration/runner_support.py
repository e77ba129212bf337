"""What the runner's tests share: recipes in one line, a runner here or in a process of its own, waiting."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from sisu_kodo import database
from sisu_kodo.cli.processes import start_runner
from sisu_kodo.client import TERMINAL, Client
from sisu_kodo.config import Config
from sisu_kodo.registry import Registry
from sisu_kodo.worker import RunnerOptions, Worker

HANDLERS = "tests.integration.runner_handlers"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


def put(client: Client, *steps: dict[str, Any], name: str = "test") -> None:
    """Put and activate a recipe of these steps; a step without an id is called `S<position>`."""
    numbered = [{"stepId": f"S{position}", **step} for position, step in enumerate(steps)]
    client.put_recipe({"name": name, "steps": numbered})


def start(client: Client, goal: str = "test", name: str = "test", **inputs: Any) -> str:
    """Start a run of the recipe; its id."""
    intent = client.create_intent({"goal": goal, "inputs": inputs, "constraints": {}})
    return str(client.start_run(intent["intentId"], recipeName=name)["workflowID"])


def start_many(client: Client, count: int, name: str = "test") -> list[str]:
    """Start `count` runs in one call; their ids."""
    intents = [{"goal": f"test {n}", "inputs": {}, "constraints": {}} for n in range(count)]
    started = client.start_runs([{"intent": intent, "recipeName": name} for intent in intents])
    return [str(each["workflowID"]) for each in started]


def execute(dsn: str, config: Config, registry: Registry, **options: Any) -> int:
    """Run a runner in this process until nothing is left to claim. Returns its exit code."""
    wanted = {"name": "in-process", "until_idle": True, "poll_interval": 0.05, **options}

    async def work() -> int:
        return await asyncio.wait_for(Worker(dsn, config, registry, RunnerOptions(**wanted)).run(), PATIENCE)

    return asyncio.run(work())


def execute_until(
    dsn: str, config: Config, registry: Registry, condition: Callable[[], Any], **options: Any
) -> None:
    """Run a runner in this process until `condition` holds, then drain it."""

    async def work() -> None:
        worker = Worker(dsn, config, registry, RunnerOptions(**{"name": "in-process", **options}))
        running = asyncio.create_task(worker.run())
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert not running.done() and time.monotonic() < deadline, "it did not happen"
            await asyncio.sleep(0.02)
        worker.desk.drain()
        assert await running == 0

    asyncio.run(work())


@contextmanager
def runner_process(dsn: str, *arguments: str, name: str = "runner-a") -> Iterator[subprocess.Popen[bytes]]:
    """`sisu runner` as a process of its own that knows runner_handlers; killed at the end."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    words = ["--import", HANDLERS, "--name", name, "--heartbeat", "0.3", *arguments]
    process = start_runner(words, {"DATABASE_URL": dsn, "PYTHONPATH": path})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of `condition`. Raises AssertionError naming `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)
    return value


def wait_for_status(client: Client, run_id: str, *wanted: str) -> dict[str, Any]:
    """The run's header as soon as it has one of these statuses; fails when it ends in another."""

    def reached() -> dict[str, Any] | None:
        header = client.run(run_id)
        assert header["status"] in wanted or header["status"] not in TERMINAL, header
        return header if header["status"] in wanted else None

    found: dict[str, Any] = wait_until(reached, f"{run_id} {' or '.join(wanted)}")
    return found


def statuses(client: Client, run_id: str) -> list[tuple[str, str, int]]:
    """`(stepID, status, attempt)` of the recipe's steps, latest attempts, without tasks."""
    steps = [step for step in client.steps(run_id) if not step.get("taskKey")]
    return [(step["stepID"], step["status"], step["attempt"]) for step in steps]


def short_leases(dsn: str, seconds: int = 1) -> None:
    """Let a lost lease expire soon."""
    with closing(database.connect(dsn)) as conn:
        conn.execute("update app.queues set lease_seconds = %s", (seconds,))


def scalar(conn: psycopg.Connection[Any], statement: str, *arguments: Any) -> Any:
    """The first column of the first row."""
    row = conn.execute(statement.encode(), arguments).fetchone()
    return row[0] if row else None
