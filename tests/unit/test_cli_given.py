"""JSON on the command line: what cannot be stored is wrong usage in words, before a database is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sisu_kodo.cli.main import main
from sisu_kodo.cli.runs import read_intent

WHO = ("--actor", "ann", "--reason", "x")
DEEP = "[" * 100_000 + "]" * 100_000
BAD = {
    '{"a": NaN}': "is not JSON: NaN is no number",
    '{"a": 1e999}': "holds a number that is out of range",
    '{"a": ' + "9" * 5000 + "}": "holds a number that is out of range",
    r'{"a": {"b": "\u0000"}}': r"a.b holds the character \u0000",
    r'{"a": "\ud800"}': "a holds half of a surrogate pair",
    DEEP: "is nested deeper than 100 levels",
}
CALLS = (
    ("start", "--intent", "-"),
    ("recipe", "put", "-"),
    ("schedule", "put", "-", *WHO),
    ("ops", "cancel", *WHO, "--filter"),
    ("ops", "fork", "run", "--step", "0", *WHO, "--inputs"),
    ("reply", "run", "gate", "--by", "ann", "--payload"),
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost:1/nowhere")
    monkeypatch.setenv("SISU_HOME", str(tmp_path))


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call[:2]))
def test_json_that_cannot_be_stored_is_wrong_usage(call: tuple[str, ...], text: str) -> None:
    arguments = call if "-" in call else (*call, text)
    answer = CliRunner().invoke(main, arguments, input=text)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert BAD[text] in answer.stderr


def test_a_file_that_is_not_utf_8_is_wrong_usage() -> None:
    answer = CliRunner().invoke(main, ("recipe", "put", "-"), input=b'{"name": "\xff"}')
    assert answer.exit_code == 2
    assert "is not UTF-8 at byte 10" in answer.stderr


def test_an_input_is_json_if_it_reads_as_such() -> None:
    given = ("a=1", "b=NaN", 'c={"d": [true]}', "e=-Infinity", "f=[1", "g=")
    assert read_intent("goal", None, given)["inputs"] == {
        "a": 1, "b": "NaN", "c": {"d": [True]}, "e": "-Infinity", "f": "[1", "g": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "told"),
    [("n=1e999", "--input n holds a number"), (r'n="\u0000"', r"--input n holds the character \u0000")],
)
def test_an_input_that_cannot_be_stored_is_wrong_usage(word: str, told: str) -> None:
    answer = CliRunner().invoke(main, ("start", "--goal", "x", "--input", word))
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert told in answer.stderr


@pytest.mark.parametrize(
    "call",
    [
        ("show", "a\udcff"),
        ("list", "--recipe", "\udcff"),
        ("start", "--goal", "\udcff"),
        ("ops", "pause", "q", "--partition", "\udcff", *WHO),
    ],
)
def test_an_argument_that_is_not_utf_8_is_wrong_usage(call: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(main, call)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert r"\udcff' is not UTF-8" in answer.stderr


def test_ids_on_standard_input_that_are_not_utf_8_are_wrong_usage() -> None:
    answer = CliRunner().invoke(main, ("ops", "explain"), input=b"a\xff\n")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "is not UTF-8" in answer.stderr


@pytest.mark.parametrize(
    "call",
    [
        ("recipe", "activate", "name", "99999999999"),
        ("ops", "fork", "run", "--step", "99999999999", *WHO),
    ],
)
def test_a_number_beyond_an_integer_is_wrong_usage(call: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(main, call)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "99999999999 is not in the range" in answer.stderr


def test_an_account_without_a_name_has_to_say_who(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", nobody)
    for call in (("ops", "cancel", "run"), ("schedule", "pause", "nightly")):
        answer = CliRunner().invoke(main, (*call, "--reason", "x"))
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert "--actor" in answer.stderr
