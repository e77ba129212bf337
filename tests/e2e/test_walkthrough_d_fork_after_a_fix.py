"""Walkthrough D: a run fails at ExecuteST; forked at step 2 with a fix it succeeds, steps 0 and 1 are reused.

The recipe is compile-default with its real handlers, each behind a counter: what ran is counted outside of
the database.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sisu_kodo import builtin
from sisu_kodo.client import Client
from sisu_kodo.models import JSON
from tests.e2e.e2e_handlers import COUNTED
from tests.e2e.e2e_support import (
    HANDLERS,
    attempts,
    fingerprint,
    psql,
    sisu,
    sisu_json,
    start_intent,
)
from tests.integration.runner_support import runner_process, wait_for_status

Database = psycopg.Connection[Any]
TASKS = 3


@pytest.fixture
def executions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the counters write to."""
    file = tmp_path / "executions"
    monkeypatch.setenv("SISU_TEST_COUNT", str(file))
    return file


@pytest.fixture
def counted(client: Client) -> None:
    """compile-default, its next version: the same recipe with counted handlers."""
    [recipe] = [each for each in builtin.recipes() if each["name"] == "compile-default"]
    client.put_recipe(_with_counters(recipe))


def _with_counters(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_with_counters(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"counted/{each}" if key == "handler" and each in COUNTED else _with_counters(each)
        for key, each in value.items()
    }


def count(executions: Path) -> Counter[tuple[str, str]]:
    """How often each step (its tasks under `<step>/task`) of each run was executed."""
    return Counter(_lines(executions))


def _lines(executions: Path) -> Iterator[tuple[str, str]]:
    for line in executions.read_text(encoding="utf-8").splitlines():
        run_id, step_id, task_key, _ = line.split()
        yield run_id, step_id if task_key == "-" else f"{step_id}/task"


@pytest.mark.usefixtures("counted")
def test_fails_is_fixed_and_forked(
    operator: str, client: Client, conn: Database, recordings: Path, home: Path, executions: Path
) -> None:
    source = start_intent(recordings, "walkthrough D", TASKS, cmd=["FAIL_ME"])
    with runner_process(operator, "--import", HANDLERS, name="walkthrough-d"):
        wait_for_status(client, source, "WAITING_INPUT")
        sisu("approve", source, "--by", "fde")
        failed = wait_for_status(client, source, "ERROR")
        assert (failed["lastStep"], failed["nextAction"]) == ("ExecuteST", "REPAIR")
        assert failed["error"]["code"] == "command_failed"
        assert sisu("ops", "list-failed", "--ids").split() == [source]

        before, ran = fingerprint(conn, source), count(executions)
        fix = json.dumps({"mock": {"cmd": ["true"]}})
        [answer] = sisu_json(
            "ops",
            "fork",
            source,
            "--step",
            "2",
            "--actor",
            "fde",
            "--reason",
            "patch-applied",
            "--inputs",
            fix,
        )
        fork = answer["forked_run_id"]
        assert fork == f"{source}-f1"
        wait_for_status(client, fork, "SUCCESS")

    steps = [step for step in client.steps(fork) if not step.get("taskKey")]
    assert [(step["stepID"], step["status"], step["cachedFrom"]) for step in steps] == [
        ("CompileST", "SUCCESS", source),
        ("ApplyPatchST", "SUCCESS", source),
        ("DecideST", "SUCCESS", None),
        ("ExecuteST", "SUCCESS", None),
    ]

    # what ran, counted by the handlers themselves
    assert count(executions) - ran == Counter(
        {(fork, "DecideST"): 1, (fork, "ExecuteST"): 1, (fork, "ExecuteST/task"): TASKS}
    ), "no reused step was executed, nothing of the source again"
    assert ran == Counter(
        {
            (source, "CompileST"): 1,
            (source, "ApplyPatchST"): 1,
            (source, "DecideST"): 1,
            (source, "ExecuteST"): 1,
        }
        | {(source, "ExecuteST/task"): TASKS}
    )
    assert (home / "workspaces" / source).is_dir()
    assert not (home / "workspaces" / fork).exists(), "ApplyPatchST of the fork built nothing"

    # what was committed
    assert psql(f"SELECT seen_count FROM app.mock_receipts WHERE run_id = '{fork}'") == ["1"] * TASKS
    assert psql(f"SELECT count(*) FROM app.mock_receipts WHERE run_id = '{source}'") == ["0"], (
        "failed tasks leave none"
    )
    assert attempts(conn, fork, "ExecuteST", tasks=True) == [("SUCCESS", 1)] * TASKS
    assert _reused_artifacts(conn, fork) == _reused_artifacts(conn, source) != []

    # the source is what it was, but for the audit of the fork
    after = fingerprint(conn, source)
    added = [row for row in after["artifacts"] if row not in before["artifacts"]]
    assert len(added) == 1
    audit = f"SELECT inline->>'op' FROM app.artifacts WHERE step_id='OPS' AND run_id='{source}'"
    assert psql(audit) == ["reply", "fork"]
    assert after | {"artifacts": [row for row in after["artifacts"] if row not in added]} == before


def _reused_artifacts(conn: Database, run_id: str) -> list[Any]:
    return conn.execute(
        "select step_id, idx, kind, name, size, sha256 from app.artifacts"
        " where run_id = %s and step_id in ('CompileST', 'ApplyPatchST') order by 1, 2",
        (run_id,),
    ).fetchall()
