"""`sisu db` on a database of the user's own: what it prints, refuses and exits with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from sisu_kodo import database
from sisu_kodo.cli.db import db
from sisu_kodo.config import load_config


@pytest.fixture
def given(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """DATABASE_URL names the test's database, SISU_HOME an empty folder."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("SISU_HOME", str(tmp_path / ".sisu"))
    return dsn


def sisu_db(*args: str) -> Result:
    return CliRunner().invoke(db, args, catch_exceptions=False)


def test_status_says_ready_as_json(given: str, tmp_path: Path) -> None:
    done = sisu_db("status", "--json")
    found = json.loads(done.output)
    assert done.exit_code == 0
    assert (found["kind"], found["running"], found["codeCurrent"]) == ("given", True, True)
    assert found["revision"]
    assert not (tmp_path / ".sisu").exists(), "the embedded engine is untouched"


def test_status_of_an_empty_database_is_not_ready(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_dsn)
    assert sisu_db("status").exit_code == 4


def test_an_unreachable_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:geheim@127.0.0.1:1/nowhere")
    done = sisu_db("up")
    assert done.exit_code == 1
    assert "no connection to 127.0.0.1/nowhere" in done.output
    assert "geheim" not in done.output
    assert "Traceback" not in done.output


def test_reset_refuses_a_given_database_without_yes(given: str, conn: Connection[Any]) -> None:
    conn.execute("create table app.witness ()")
    done = sisu_db("reset")
    assert done.exit_code == 3
    assert "--yes" in done.output
    assert conn.execute("select to_regclass('app.witness') is not null").fetchone() == (True,)


def test_reset_empties_and_migrates(given: str, conn: Connection[Any]) -> None:
    conn.execute("create table app.witness ()")
    conn.execute("create table public.of_somebody_else ()")
    assert sisu_db("reset", "--yes", "--json").exit_code == 0
    left = conn.execute("select to_regclass('app.witness'), to_regclass('public.of_somebody_else')::text")
    assert left.fetchone() == (None, "of_somebody_else")
    assert sisu_db("status").exit_code == 0


def test_a_system_reset_makes_the_queues_anew(given: str, conn: Connection[Any]) -> None:
    conn.execute("select pgmq.send('intentQ', '{}')")
    assert sisu_db("reset", "--yes", "--system").exit_code == 0
    assert conn.execute("select sum(queue_length) from pgmq.metrics_all()").fetchone() == (0,)
    assert sisu_db("status").exit_code == 0


def test_a_system_reset_keeps_the_runs(given: str, conn: Connection[Any]) -> None:
    recipe = {"name": "t", "queue": "intentQ", "steps": [{"stepId": "A", "handler": "t/a"}]}
    conn.execute("select app.put_recipe(%s::jsonb), app.activate_recipe('t')", [json.dumps(recipe)])
    intent = '{"goal": "g", "inputs": {}, "constraints": {}}'
    conn.execute(
        "select app.start_run(app.create_intent(%s::jsonb) ->> 'intentId', '{\"recipeName\": \"t\"}')",
        [intent],
    )
    before = conn.execute("select * from app.runs").fetchall()
    assert sisu_db("reset", "--system").exit_code == 0
    assert conn.execute("select * from app.runs").fetchall() == before
    assert conn.execute("select * from app.v_invariants").fetchall() == []


def test_migrate_sets_the_partition_law(
    given: str, conn: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def partitioned() -> Any:
        rows = conn.execute(
            "select partitioned from app.queues where queue_name in ('intentQ', 'sbxQ')"
        ).fetchall()
        return {value for (value,) in rows}

    for word, value in (("true", True), ("false", False)):
        monkeypatch.setenv("SBX_QUEUE_PARTITION", word)
        assert sisu_db("migrate").exit_code == 0
        assert partitioned() == {value}


def test_psql_hands_over_arguments_and_exit_code(given: str) -> None:
    assert database.psql(load_config(), ["-X", "-o", "/dev/null", "-c", "select 1"]) == 0
    assert database.psql(load_config(), ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "select 1/0"]) == 1


def test_down_leaves_a_given_server_alone(given: str, conn: Connection[Any]) -> None:
    assert sisu_db("down").exit_code == 0
    assert conn.execute("select 1").fetchone() == (1,)


def as_role(dsn: str, role: str | None) -> str:
    """The DSN whose sessions have no more rights than `role`, or a login that was granted nothing."""
    return make_conninfo(dsn, options=f"-c role={role or 'pg_read_all_stats'}")


@pytest.mark.parametrize("role", ["app_read", "app_api", "app_worker", "app_ops"])
def test_status_is_for_every_role(given: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", as_role(given, role))
    done = sisu_db("status", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["codeCurrent"], found["revision"]) == (True, database.status(load_config())["revision"])


@pytest.mark.parametrize("command", ["status", "migrate", "reset --system"])
def test_what_the_login_may_not_do_is_a_failure(
    given: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", as_role(given, None))
    done = sisu_db(*command.split())
    assert done.exit_code == 1
    assert "error: " in done.stderr
    assert "permission denied" in done.stderr or "must be owner" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("ops explain <&-", 2),
        ("ops cancel --reason x <&-", 2),
        ("ops pause sbxQ --reason x >&-", 0),
        ("ops queues >&-", 0),
        ("ops explain nobody >&- 2>&-", 3),
    ],
)
def test_a_service_without_standard_streams_gets_its_exit_code(given: str, command: str, code: int) -> None:
    words = f"exec {sys.executable} -m sisu_kodo {command}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


@pytest.mark.parametrize("name", ["up", "down", "migrate", "reset", "psql", "status"])
def test_every_command_explains_itself(name: str) -> None:
    done = sisu_db(name, "--help")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) > 3


def test_the_group_shows_examples_and_exit_codes() -> None:
    done = sisu_db("--help")
    assert "Examples:" in done.output
    assert "Exit codes:" in done.output
