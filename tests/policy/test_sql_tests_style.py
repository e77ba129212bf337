"""The house rules of sql_tests/: a sentence for a name, a chapter for a number, every law kept at the end."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

DB = sorted(path for path in (ROOT / "db").glob("*.sql") if path.name != "install.sql")
TESTS = sorted((ROOT / "sql_tests").glob("[1-9]*.sql"))
WORKING = re.compile(r"app_test\.(?:work_once|finish_step|fail_step|a_run_at)\(")
LAWFUL_END = re.compile(r"select is_empty\('select \* from app\.v_invariants'[^\n]*\s+rollback;\s*$")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_there_are_many() -> None:
    assert len(TESTS) > 40
    assert sum(1 for path in TESTS if WORKING.search(read(path))) > 20


def test_a_name_is_a_sentence() -> None:
    assert [path.name for path in TESTS if not re.fullmatch(r"\d{4}(_[a-z0-9]+){3,}", path.stem)] == []


def test_a_number_is_given_once() -> None:
    numbers = [path.name[:4] for path in TESTS]
    assert sorted(set(numbers)) == numbers


def test_every_chapter_of_code_has_tests_and_every_test_a_chapter() -> None:
    chapters = {path.name[:2] for path in DB if int(path.name[:2]) >= 20}
    assert {path.name[:2] for path in TESTS} == chapters


def test_a_test_that_works_ends_with_every_law_kept() -> None:
    working = [path for path in TESTS if 40 <= int(path.name[:2]) < 80 and WORKING.search(read(path))]
    assert [path.name for path in working if not LAWFUL_END.search(read(path))] == []


def test_a_test_opens_with_what_it_proves() -> None:
    assert [path.name for path in TESTS if not re.match(r"-- \S.{15,}\nbegin;\n", read(path))] == []


def test_words_of_the_house() -> None:
    words = re.compile(r"\b(?:jobs?|activit(?:y|ies)|workflow instances?)\b", re.IGNORECASE)
    found = [f"{path.name}: {match[0]}" for path in [*DB, *TESTS] for match in words.finditer(read(path))]
    assert not found
