"""`make bench` in the smallest: real runners, scratch databases that are gone afterwards, a report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from psycopg import Connection

from bench import http
from bench.__main__ import main
from bench.context import Bench
from bench.sections import claims, oracles


@pytest.fixture
def given(dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server that the benchmark finds."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


def left_behind(conn: Connection[Any]) -> int:
    row = conn.execute(
        "select count(*) from pg_database where datname like %s", [f"sisu_bench_%_{os.getpid()}"]
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_two_sections_end_in_a_report(given: str, conn: Connection[Any], tmp_path: Path) -> None:
    arguments = ["--only=starts", "--only=latency", "--scale=0.0001", f"--out={tmp_path}", "--json"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "results.json").read_text())
    assert [each["name"] for each in told["sections"]] == ["latency", "starts"]
    measured = {each["key"]: each for each in told["ledger"] if each["measured"] is not None}
    assert measured.keys() == {"latency_p50", "start_single", "start_bulk"}
    assert all(each["measured"] > 0 and each["ceiling"] > 0 for each in measured.values())
    assert "partial run" in (tmp_path / "README.md").read_text()
    assert left_behind(conn) == 0


def test_rows_that_are_made_by_the_million_break_no_law(given: str, conn: Connection[Any]) -> None:
    section = oracles.measure(Bench(given, scale=0.0001))
    rows = {name: count for name, count, *_ in section.tables[0].rows}
    assert rows["app.v_invariants"] == "0"
    assert rows["app.v_gates_open"] == "100"
    assert rows["app.v_run_timeline"] == "1"
    assert left_behind(conn) == 0


def test_a_claim_is_measured_on_what_is_there(given: str) -> None:
    section = claims.measure(Bench(given, scale=0.0001))
    cases = {name: float(p50) for name, p50, *_ in section.tables[0].rows}
    assert list(cases)[:4] == ["1 k waiting", "10 k waiting", "100 k waiting", "1 M waiting"]
    assert section.measured[0].value == pytest.approx(cases["1 M waiting"] / cases["1 k waiting"], abs=0.01)


def test_a_client_that_fails_ends_bench_http(connect: Callable[..., Connection[Any]]) -> None:
    def refused() -> Any:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(Exception, match="a client stopped: nobody there"):
        http.side([f"intent {n}" for n in range(8)], 4, refused)
