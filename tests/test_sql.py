"""Every file of sql_tests/ is one test: psql runs it in a prepared database, its TAP is read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server

FOLDER = ROOT / "sql_tests"
SETUP = [FOLDER / "0000_setup.sql", FOLDER / "0001_helpers.sql"]
FILES = sorted(FOLDER.glob("[1-9]*.sql"))

_PLAN = re.compile(r"^1\.\.(\d+)$")
_TEST = re.compile(r"^(not )?ok (\d+)\b(.*)$")
_SKIP = re.compile(r"#\s*SKIP\b\s*(.*)$", re.IGNORECASE)


def faults_in(tap: str) -> list[str]:
    """What is wrong with a TAP stream: not one plan, numbers out of order, a failed test, a wrong count."""
    plans: list[int] = []
    faults: list[str] = []
    seen = 0
    lines = tap.splitlines()
    for at, line in enumerate(lines):
        if plan := _PLAN.match(line):
            plans.append(int(plan[1]))
        elif test := _TEST.match(line):
            seen += 1
            if int(test[2]) != seen:
                faults.append(f"test {seen} calls itself {test[2]}")
            if test[1]:
                faults.append("\n".join([line, *_notes_after(lines, at)]))
    if len(plans) != 1:
        faults.append(f"{len(plans)} plans instead of one")
    elif plans[0] != seen:
        faults.append(f"planned {plans[0]}, ran {seen}")
    elif seen == 0:
        faults.append("no test ran")
    return faults


def _notes_after(lines: list[str], at: int) -> Iterator[str]:
    for line in lines[at + 1 :]:
        if not line.startswith("#"):
            return
        yield line


@pytest.fixture(scope="session")
def sql_database(server: Server, template: str) -> Iterator[str]:
    """A clone with the assertions and the helpers in it. Test files roll back, so that it stays as it is."""
    name = server.create(template)
    for path in SETUP:
        if path.exists():
            done = server.psql(name, "-f", path)
            assert done.returncode == 0, done.stderr
            if done.stdout.strip():
                print(done.stdout.strip())
    yield name
    server.drop(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sql(path: Path, server: Server, sql_database: str) -> None:
    done = server.psql(sql_database, "-f", path)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}"
    faults = faults_in(done.stdout)
    assert not faults, f"{path.name}:\n" + "\n".join(faults)
    for skipped in filter(None, map(_SKIP.search, done.stdout.splitlines())):
        print(f"{path.name}: skipped: {skipped[1]}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sql_file_leaves_nothing_behind(path: Path) -> None:
    """All files share one database: each is one transaction that is rolled back."""
    statements = re.sub(r"--.*", "", path.read_text(encoding="utf-8")).lower()
    assert re.match(r"\s*begin\s*;", statements), "must start with begin;"
    assert re.search(r"rollback\s*;\s*$", statements), "must end with rollback;"
    assert not re.search(r"^\s*commit\b", statements, re.MULTILINE), "must not commit"


def test_there_are_sql_tests() -> None:
    assert FILES


@pytest.mark.parametrize(
    ("tap", "fault"),
    [
        ("1..1\nok 1 - a", None),
        ("1..1\nnot ok 1 - a\n# why", "not ok 1 - a\n# why"),
        ("1..2\nok 1", "planned 2, ran 1"),
        ("1..1\nok 1\nok 2", "planned 1, ran 2"),
        ("1..2\nok 1\nok 3", "test 2 calls itself 3"),
        ("ok 1", "0 plans instead of one"),
        ("1..1\n1..1\nok 1", "2 plans instead of one"),
        ("1..0", "no test ran"),
        ("", "0 plans instead of one"),
        ("1..1\nnot ok 1 # TODO later", "not ok 1 # TODO later"),
    ],
)
def test_the_reader_of_tap_is_strict(tap: str, fault: str | None) -> None:
    assert faults_in(tap) == ([] if fault is None else [fault])
