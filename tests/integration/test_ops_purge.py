"""`sisu ops purge`: one batch, all batches, dry runs, ages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from sisu_kodo.cli.main import main
from tests.concurrency.races_support import one, recipe, start

SIGNED = ("--actor", "ann", "--reason", "retention")


@pytest.fixture
def runs(conn: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """Five cancelled runs; the first has a fork of a fork, both cancelled. All ended forty days ago."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("SISU_HOME", str(tmp_path / ".sisu"))
    recipe(conn, "plain", {})
    made = [start(conn, f"goal {n}", "plain") for n in range(5)]
    for source in (made[0], f"{made[0]}-f1"):
        fork = "select app.fork_run(%s, 0, 'ann', 'x') ->> 'forkedWorkflowID'"
        made.append(one(conn, fork, source))
    for run_id in made:
        conn.execute("select app.cancel_run(%s, 'ann', 'x')", [run_id])
    conn.execute("select app.advance('40 days')")
    return made


def purge(*words: str) -> Result:
    return CliRunner().invoke(main, ["ops", "purge", *words], catch_exceptions=False)


def left(conn: Connection[Any]) -> int:
    return int(one(conn, "select count(*) from app.runs"))


def test_one_batch_says_that_there_is_more(conn: Connection[Any], runs: list[str]) -> None:
    answer = purge("--older-than", "30d", "--limit", "3", *SIGNED)
    assert answer.stdout == "3 runs and 0 bodies purged; there are more: --all takes them too\n"
    assert left(conn) == len(runs) - 3


def test_all_goes_on_until_the_sources_of_forks_are_gone_too(conn: Connection[Any], runs: list[str]) -> None:
    answer = purge("--older-than", "30d", "--limit", "3", "--all", "--json", *SIGNED)
    assert json.loads(answer.stdout) == {
        "purged": 7, "bodies": 0, "batches": 5, "more": False, "dryRun": False,
    }  # fmt: skip
    assert left(conn) == 0
    told = one(
        conn, "select array_agg(inline ->> 'actor') from app.artifacts where run_id = 'retention/purge'"
    )
    assert told == ["ann"] * 4, "a batch that takes nothing is not on record"


def test_all_tells_how_far_it_has_come(conn: Connection[Any], runs: list[str]) -> None:
    answer = purge("--older-than", "30d", "--all", *SIGNED)
    assert answer.stdout == "7 runs and 0 bodies purged\n"
    assert "5 runs, 0 bodies" in answer.stderr


def test_a_dry_run_takes_nothing(conn: Connection[Any], runs: list[str]) -> None:
    for more in ((), ("--all",)):
        answer = purge("--older-than", "30d", "--dry-run", *more, *SIGNED)
        assert answer.stdout == "5 runs would go (dry run)\n"
    assert left(conn) == len(runs)


@pytest.mark.parametrize(
    ("words", "goes"),
    [
        (("--older-than", "6w"), 0),
        (("--older-than", "39d"), 5),
        (("--older-than", "0s", "--status", "SUCCESS", "--status", "ERROR"), 0),
        (("--older-than", "0s", "--status", "CANCELLED"), 5),
    ],
)
def test_age_and_status_choose(
    conn: Connection[Any], runs: list[str], words: tuple[str, ...], goes: int
) -> None:
    assert json.loads(purge(*words, "--json", *SIGNED).stdout)["purged"] == goes


@pytest.mark.parametrize(
    "words", [("--older-than", "30"), ("--older-than", "-1d"), ("--older-than", "1 month"), ()]
)
def test_an_age_has_a_unit(runs: list[str], words: tuple[str, ...]) -> None:
    assert purge(*words, *SIGNED).exit_code == 2


def test_help_shows_examples(runs: list[str]) -> None:
    assert "--older-than 30d --reason nightly --all" in purge("--help").stdout
