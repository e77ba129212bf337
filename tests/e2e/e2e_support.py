"""What the walkthroughs share: the program `sisu` as an operator calls it, and what to look at afterwards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from bench.soak.recipes import record_plan
from sisu_kodo.cli.processes import sisu_command
from sisu_kodo.models import JSON
from tests.integration.runner_support import scalar

HANDLERS = "tests.e2e.e2e_handlers"
PARTITION = "ui-default"


def sisu(*words: str, code: int = 0) -> str:
    """Run `sisu` with these words; its standard output. Fails when it leaves with another exit code."""
    done = subprocess.run(
        sisu_command(*words),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == code, f"sisu {' '.join(words)} → {done.returncode}\n{done.stderr}{done.stdout}"
    return done.stdout


def sisu_json(*words: str) -> Any:
    """The JSON document that `sisu … --json` prints."""
    return json.loads(sisu(*words, "--json"))


def psql(statement: str) -> list[str]:
    """The lines that `sisu db psql` answers, unaligned."""
    return sisu("db", "psql", "--", "-X", "-A", "-t", "-c", statement).splitlines()


def start_intent(recordings: Path, goal: str, tasks: int, **mock: JSON) -> str:
    """`sisu start` of a run of compile-default whose plan has so many tasks; its id."""
    inputs: dict[str, JSON] = {"mock": mock} if mock else {}
    record_plan(recordings, {"goal": goal, "inputs": inputs, "constraints": {}}, tasks)
    words = [word for key, value in inputs.items() for word in ("--input", f"{key}={json.dumps(value)}")]
    header = sisu_json(
        "start", "--goal", goal, "--recipe", "compile-default", "--partition", PARTITION, *words
    )
    return str(header["workflowID"])


def attempts(
    conn: psycopg.Connection[Any], run_id: str, step_id: str, tasks: bool = False
) -> list[tuple[str, int]]:
    """`(status, attempt)` of every attempt of a step, or of its tasks, in order."""
    return conn.execute(
        "select status, attempt from app.run_steps"
        " where run_id = %s and step_id = %s and (task_key <> '') = %s order by task_idx, attempt",
        (run_id, step_id, tasks),
    ).fetchall()


def count_tasks(conn: psycopg.Connection[Any], run_id: str, status: str) -> int:
    """How many attempts of fan-out tasks of a run have this status."""
    statement = "select count(*) from app.run_steps where run_id = %s and task_key <> '' and status = %s"
    return int(scalar(conn, statement, run_id, status))


def fingerprint(conn: psycopg.Connection[Any], run_id: str) -> dict[str, list[str]]:
    """Every row that belongs to a run, table by table, as text with the transaction that wrote it."""
    tables = [
        row[0]
        for row in conn.execute(
            "select c.table_name from information_schema.columns as c join information_schema.tables as t"
            " using (table_schema, table_name) where c.table_schema = 'app' and c.column_name = 'run_id'"
            " and t.table_type = 'BASE TABLE' order by 1"
        )
    ]
    assert {"runs", "run_steps", "artifacts", "gates", "timers", "mock_receipts"} <= set(tables)
    return {
        table: [
            row[0]
            for row in conn.execute(
                f"select t.xmin || ' ' || t.ctid || ' ' || t::text from app.{table} as t"
                " where t.run_id = %s order by t.ctid".encode(),
                (run_id,),
            )
        ]
        for table in tables
    }
