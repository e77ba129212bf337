"""House rules of db/*.sql that no linter looks at, because most of the SQL stands inside `$$`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "db").glob("*.sql"))
LONGEST_BODY = 80
LONGEST_FILE = 400

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
    select insert update delete from where group having order by limit join left right full outer cross
    inner lateral on using and or not null is in exists case when then else end as distinct union all
    values returning with recursive begin declare perform return returns create replace function table
    view index trigger constraint comment grant revoke execute schema type sequence primary key
    references unique check default language volatile stable immutable parallel safe unsafe security
    definer invoker set for each row loop if elsif while foreach raise exception into conflict do
    nothing only skip locked interval coalesce nullif any array true false
    """,
    )
)

_FUNCTION = re.compile(
    r"^create or replace function (?P<name>app\.\w+)\((?P<arguments>.*?)\)\n"
    r"(?P<header>.*?)^as \$\$\n(?P<body>.*?)^\$\$;\n",
    re.MULTILINE | re.DOTALL,
)
_HEADER = re.compile(
    r"returns (setof )?[\w.\[\]]+( \([^;]*\))?\n"
    r"language (sql|plpgsql)\n"
    r"(volatile|stable|immutable)\n"
    r"parallel (safe|unsafe|restricted)\n"
    r"security (invoker|definer)\n"
    r"set search_path = ''\n"
    r"(set [\w.]+ = \S+\n)*"
)
_LITERAL = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*")


class Function(NamedTuple):
    """One `create function` of a file; `after` is the text that follows it."""

    file: str
    name: str
    header: str
    body: str
    after: str


def code_of(text: str) -> str:
    """The text without literals, quoted names and comments; lines stay where they are."""
    return _LITERAL.sub(lambda m: "''" if m[0].startswith("'") else "", text)


def functions_in(path: Path) -> Iterator[Function]:
    text = path.read_text(encoding="utf-8")
    for match in _FUNCTION.finditer(text):
        after = text[match.end() : match.end() + 2000]
        yield Function(path.name, match["name"], match["header"], match["body"], after)


FUNCTIONS = [function for path in FILES for function in functions_in(path)]


def each_file() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


@each_file()
def test_every_function_has_the_header_in_order(path: Path) -> None:
    code = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
    found = list(functions_in(path))
    made = re.findall(r"create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", code, re.IGNORECASE)
    assert len(found) == len(made), "a function does not begin with `create or replace function app.f(…)`"
    wrong = [one.name for one in found if not _HEADER.fullmatch(one.header)]
    assert not wrong, "returns, language, volatility, parallel, security, search_path: in this order"


def test_there_are_functions() -> None:
    assert len(FUNCTIONS) > 50


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: f"{function.file}:{function.name}")
def test_a_function_is_short_and_followed_by_its_comment(function: Function) -> None:
    assert function.body.count("\n") <= LONGEST_BODY
    assert function.after.lstrip().startswith(f"comment on function {function.name}(")


@each_file()
def test_keywords_are_lower_case(path: Path) -> None:
    shouted = [
        f"{number}: {word}"
        for number, line in enumerate(code_of(path.read_text(encoding="utf-8")).splitlines(), 1)
        for word in re.findall(r"\b[A-Z]{2,}\b", line)
        if word.lower() in KEYWORDS
    ]
    assert not shouted


@each_file()
def test_only_one_chapter_knows_pgmq(path: Path) -> None:
    lines = code_of(path.read_text(encoding="utf-8")).splitlines()
    calls = [number for number, line in enumerate(lines, 1) if re.search(r"\bpgmq\.", line)]
    assert bool(calls) == (path.name == "24_pgmq.sql"), calls


@each_file()
def test_errors_are_not_caught(path: Path) -> None:
    """An exception block is a subtransaction: around shared roles, where only a cast tells, around what a
    recipe or a schedule says should happen (what cannot be done ends its own run and stops no runner), and
    around bytes of an artifact, of which only the conversion tells whether they are the text they claim."""
    code = code_of(path.read_text(encoding="utf-8")).lower()
    caught = re.findall(r"\bexception\s+when\b", code)
    allowed = {"00", "32", "43", "47", "48", "56", "58", "86"}
    assert bool(caught) == (path.stem.partition("_")[0] in allowed)


@each_file()
def test_dynamic_sql_stays_in_its_chapter(path: Path) -> None:
    code = code_of(path.read_text(encoding="utf-8")).lower()
    rest = re.sub(r"\b(grant|revoke)\s+execute\s+on|\bexecute\s+function\b", "", code)
    dynamic = re.findall(r"\bexecute\b", rest)
    assert not dynamic or path.name in {"00_schema.sql", "24_pgmq.sql", "28_guards.sql", "90_grants.sql"}


@each_file()
def test_only_the_errors_chapter_raises(path: Path) -> None:
    raised = re.findall(r"\braise\s+exception\b", code_of(path.read_text(encoding="utf-8")).lower())
    assert len(raised) == (1 if path.name == "20_errors.sql" else 0)


@each_file()
def test_only_the_transitions_write_a_status(path: Path) -> None:
    """Runs: `set status` on app.runs stands where the transitions, a claim and a poisoned run are."""
    code = code_of(path.read_text(encoding="utf-8"))
    writes = re.findall(r"update app\.runs as \w+ set\s+status", code)
    assert not writes or path.name in {"42_transitions.sql", "44_admission.sql", "54_workers.sql"}


@each_file()
def test_a_chapter_opens_with_what_it_is_about(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("-- ") and lines[0].rstrip().endswith((".", ":"))
    assert len(lines) <= LONGEST_FILE


def test_install_lists_every_file_once_in_order() -> None:
    text = (ROOT / "db" / "install.sql").read_text(encoding="utf-8")
    assert re.findall(r"^\\ir (\S+)$", text, re.MULTILINE) == [
        p.name for p in FILES if p.name != "install.sql"
    ]


@each_file()
def test_nothing_is_left_to_do(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (
            "returns text\nlanguage sql\nimmutable\nparallel safe\nsecurity invoker\nset search_path = ''\n",
            True,
        ),
        ("returns text\nlanguage sql\nparallel safe\nsecurity invoker\nset search_path = ''\n", False),
        (
            "returns text\nlanguage sql\nimmutable\nsecurity invoker\nparallel safe\nset search_path = ''\n",
            False,
        ),
        ("returns text\nlanguage sql\nimmutable\nparallel safe\nsecurity invoker\n", False),
    ],
)
def test_the_reader_of_headers_is_strict(text: str, header: bool) -> None:
    assert bool(_HEADER.fullmatch(text)) == header
