"""What people and handlers wrote is shown in a terminal as they wrote it, whatever is in it."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from sisu_kodo.cli import render, render_ops, schedules

ODD = "to [/prod] [red]or not[/] :smile:"
GATE = {
    "gateKey": "g", "status": "OPEN", "kind": "input", "quorum": 1, "title": ODD, "expiresAt": None,
    "shownSha256": None,
}  # fmt: skip
STEP = {"stepID": "A", "attempt": 1, "status": "SUCCESS", "startedAt": None, "endedAt": None}
ARTIFACT = {"artifactId": 1, "stepID": "A", "kind": "file", "name": ODD, "size": 1, "sha256": "0" * 64}
RUN = {"workflowID": "r", "recipe": {"name": "odd", "version": 1}, "status": "WAITING_INPUT"}
QUEUE: dict[str, Any] = {
    "queue_name": "q", "partition_key": ODD, "enqueued": 1, "pending": 0, "expired": 0, "oldest_age_s": None,
    "drain_s": None, "is_estimated": False, "limits": {}, "paused_at": None,
}  # fmt: skip


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_shows_titles_and_names_as_they_are(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    render.run({"run": RUN, "steps": [STEP], "gates": [GATE], "artifacts": [ARTIFACT]}, False)
    assert capsys.readouterr().out.count(ODD) == 2


def test_queues_and_partitions_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    render_ops.queues([QUEUE], False)
    at = {"queueName": "q", "partition": ODD, "dryRun": False}
    render_ops.queue_switched({**at, "paused": False}, False)
    render_ops.partition_set({**at, "weight": 2, "maxRunning": None}, False)
    assert capsys.readouterr().out.count(ODD) == 3


def test_who_paused_a_schedule_and_why_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "name": "n", "cron": "0 0 * * *", "timezone": "UTC", "recipe": "odd", "health": "paused",
        "next_at": None,
        "paused_at": datetime.now(UTC), "paused_by": "ann", "pause_reason": ODD,
    }  # fmt: skip
    monkeypatch.setattr(schedules, "open_client", lambda: _Client([row]))
    callback: Any = schedules.list_schedules.callback
    callback(as_json=False)
    assert f"by ann: {ODD}" in capsys.readouterr().out


class _Client:
    """A client that knows these schedules, and the block it is open for."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.schedules = lambda: rows

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_shows_the_ids_of_runs(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    run_id = "ih_" + hashlib.sha256(b"a run").hexdigest()
    header = {
        **RUN, "workflowID": run_id, "recipe": {"name": "compile-default", "version": 1}, "createdAt": 0,
        "status": "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "nextAction": "RESUME",
    }  # fmt: skip
    render.runs({"runs": [header], "nextCursor": None}, False)
    told = capsys.readouterr().out
    assert run_id in told.splitlines(), "whole, on a line of its own"
    assert "compile-default v1  MAX_RECOVERY_ATTEMPTS_EXCEEDED  RESUME" in told


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "bad", "message": "\x1b[2Jcleared\x9b31m\x07\x08\r"}
    render.run({"run": {**RUN, "error": error}, "steps": [], "gates": [GATE], "artifacts": []}, False)
    row = {
        "run_id": "r", "status": "ERROR", "why": "a\x1b]0;title\nb", "held_by": None, "since": None,
        "next_at": None, "unblock": None,
    }  # fmt: skip
    render_ops.explanations([row], False)
    told = capsys.readouterr().out
    assert "[2Jcleared31m" in told and "a]0;title\nb" in told
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", told)
