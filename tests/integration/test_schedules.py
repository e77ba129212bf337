"""Schedules from the program and through a runner: what it prints, its exit codes, a tick executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from sisu_kodo import Registry, StepContext
from sisu_kodo.cli.main import main
from sisu_kodo.client import Client
from sisu_kodo.config import Config
from tests.integration.runner_support import execute, put

Database = psycopg.Connection[Any]
INTENT = {"goal": "report", "inputs": {"pages": 3}, "constraints": {}}
NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "intent": INTENT,
           "options": {"recipeName": "test"}}  # fmt: skip
TO_2032 = "select app.advance(%s::timestamptz - app.now())"


@pytest.fixture
def client(conn: Database, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client on the test's database, which DATABASE_URL names and where it is 1 January 2032."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("SISU_HOME", str(tmp_path / ".sisu"))
    monkeypatch.chdir(tmp_path)
    conn.execute(TO_2032, ["2032-01-01T00:00Z"])
    client = Client(conn)
    put(client, {"handler": "a"})
    return client


def sisu(*args: str, stdin: Any = None) -> Result:
    text = None if stdin is None else json.dumps(stdin)
    return CliRunner().invoke(main, args, input=text, catch_exceptions=False)


def why(*args: str) -> list[str]:
    return [*args, "--actor", "ann", "--reason", "test"]


def test_put_list_pause_unpause_delete(client: Client) -> None:
    assert sisu("ops", "schedules").output == "no schedules\n"
    dry = sisu(*why("schedule", "put", "-", "--dry-run"), stdin=NIGHTLY)
    assert (dry.exit_code, dry.output) == (0, "nightly  would be created  next 2032-01-01T01:30:00Z\n")
    put_it = why("schedule", "put", "-")
    assert sisu(*put_it, stdin=NIGHTLY).output == "nightly  created  next 2032-01-01T01:30:00Z\n"
    assert sisu(*put_it, stdin=NIGHTLY).output == "nightly  unchanged  next 2032-01-01T01:30:00Z\n"
    changed = sisu(*put_it, "--json", stdin={**NIGHTLY, "cron": "30 3 * * *"})
    assert json.loads(changed.output)["nextAt"] == 1956537000000

    listed = sisu("ops", "schedules").output
    assert "nightly" in listed and "Thu 2032-01-01 03:30 CET" in listed and "ok" in listed
    (row,) = json.loads(sisu("ops", "schedules", "--json").output)
    assert (row["recipe"], row["next_at"]) == ("test", "2032-01-01T02:30:00Z")
    assert row["ticks_after"] == [f"2032-01-0{day}T02:30:00Z" for day in (2, 3, 4)]

    assert sisu(*why("schedule", "pause", "nightly")).output == "nightly  paused\n"
    assert "by ann: test" in sisu("ops", "schedules").output
    assert sisu(*why("schedule", "pause", "nightly")).exit_code == 4
    assert "next 2032-01-01T02:30:00Z" in sisu(*why("schedule", "unpause", "nightly")).output
    assert sisu(*why("schedule", "delete", "nightly", "--dry-run")).output == "nightly  would be deleted\n"
    assert sisu(*why("schedule", "delete", "nightly")).output == "nightly  deleted\n"
    assert sisu(*why("schedule", "delete", "nightly")).exit_code == 3
    assert client.schedules() == []


def test_faults_and_usage(client: Client) -> None:
    refused = sisu(*why("schedule", "put", "-"), stdin={**NIGHTLY, "cron": "61 * * * 9"})
    assert refused.exit_code == 2
    assert "cron.minute: must be between 0 and 59, not 61" in refused.output
    assert "cron.day-of-week: must be between 0 and 7, not 9" in refused.output
    unknown = sisu(*why("schedule", "put", "-"), stdin={**NIGHTLY, "options": {"recipeName": "x"}})
    assert unknown.exit_code == 3
    Path("no.json").write_text("{", encoding="utf-8")
    assert sisu(*why("schedule", "put", "no.json")).exit_code == 2
    assert sisu("schedule", "put", "no.json").exit_code == 2, "a reason is required"


def test_next_ticks(client: Client) -> None:
    shown = sisu(
        "schedule", "next", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "2", "--after", "2032-03-27T12:00"
    )
    assert shown.output.splitlines() == [
        "Sun 2032-03-28 03:00 CEST   2032-03-28T01:00:00Z",
        "Mon 2032-03-29 02:30 CEST   2032-03-29T00:30:00Z",
    ]
    ticks = json.loads(sisu("schedule", "next", "@yearly", "--json", "-n", "1").output)
    assert ticks == ["2033-01-01T00:00:00Z"], "after the engine's now"
    none = sisu("schedule", "next", "0 0 30 2 *")
    assert (none.exit_code, none.output) == (1, "no tick within eight years\n")
    assert sisu("schedule", "next", "0 0 * *").exit_code == 2
    assert sisu("schedule", "next", "@daily", "--tz", "Mars/Olympus").exit_code == 2
    assert sisu("schedule", "next", "@daily", "--after", "tomorrow").exit_code == 2


def test_a_runner_fires_and_executes_a_tick(client: Client, conn: Database, dsn: str, config: Config) -> None:
    seen: list[dict[str, Any]] = []
    registry = Registry()

    @registry.handler("a")
    async def handler(ctx: StepContext) -> None:
        seen.append(ctx.intent["inputs"])

    client.put_schedule({**NIGHTLY, "catchUp": "all"}, "ann", "test")
    conn.execute(TO_2032, ["2032-01-03T12:00Z"])
    assert execute(dsn, config, registry) == 0
    assert sorted((inputs["pages"], inputs["scheduledTick"]["at"]) for inputs in seen) == [
        (3, f"2032-01-0{day}T01:30:00Z") for day in (1, 2, 3)
    ]
    (row,) = client.schedules()
    assert (row["health"], row["last_run_status"]) == ("ok", "SUCCESS")
    (told,) = [one for one in client.artifacts(row["last_run_id"]) if one["stepID"] == "ScheduledTick"]
    assert json.loads(client.artifact(told["artifactId"]).body)["catchUp"] is True
    assert client.broken_laws() == []
