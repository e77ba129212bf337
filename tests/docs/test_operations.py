"""What docs/operations.md tells an operator to type is there, and runs with an operator's rights."""

from __future__ import annotations

import re
from typing import Any

from psycopg import Connection

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def statements() -> list[str]:
    """Every `select …` of the page that leaves nothing to fill in."""
    found = re.findall(r"`(select [^`]+)`", PAGE) + re.findall(r"^(select [^;]+);", PAGE, re.MULTILINE)
    return [one for one in dict.fromkeys(found) if "…" not in one]


def test_the_statements_run(conn: Connection[Any]) -> None:
    typed = statements()
    assert len(typed) > 15
    conn.execute("set role app_ops")
    for statement in typed:
        conn.execute(statement.encode())


def test_the_functions_and_views_exist(conn: Connection[Any]) -> None:
    known = conn.execute(
        "select relnamespace::regnamespace || '.' || relname from pg_class"
        " union select pronamespace::regnamespace || '.' || proname from pg_proc"
    ).fetchall()
    named = set(re.findall(r"\b((?:app|dbos)\.\w+)\b", PAGE))
    assert len(named) > 20
    assert named - {name for (name,) in known} == set()


def test_every_table_has_a_head() -> None:
    """A row after an empty line is no row: a browser shows its pipes."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for block in re.split(r"\n\s*\n", text):
            rows = [line for line in block.strip().splitlines() if line.startswith("|")]
            assert not rows or re.fullmatch(r"\|[-:| ]+", rows[1]), f"{page.name}: {rows[0]}"


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\:", ":")
    for target in set(re.findall(r"\b((?:ops|db):[\w:-]+)", PAGE)):
        assert f"\n{target}: " in makefile, target
