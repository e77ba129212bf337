"""Tokens: entries, roles, digests. A fault names the variable and the entry, never the token."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sisu_kodo.config import ConfigError, load_config
from sisu_kodo.http.settings import http_settings, is_loopback
from sisu_kodo.http.tokens import Caller, load_tokens, new_token

SECRET = "0123456789abcdef-secret"


def test_an_entry_names_somebody_and_what_they_may_do() -> None:
    tokens = load_tokens(load_config(tokens=f"ann:viewer+approver:{SECRET}, bob:operator:{SECRET}2"))
    assert tokens.find(SECRET) == Caller("ann", frozenset({"viewer", "approver"}))
    assert tokens.find(f"{SECRET}2") == Caller("bob", frozenset({"operator"}))
    assert tokens.find(SECRET[:-1]) is None
    assert tokens.find("") is None
    assert tokens.find("\udcff") is None
    assert SECRET not in repr(tokens)


def test_a_file_may_hold_hashes_only(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    token, entry = new_token("ann", "starter")
    assert token not in entry
    file.write_text(f"# people\n\n{entry}\nbob:viewer:sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}\n")
    tokens = load_tokens(load_config(tokens_file=file))
    found = [tokens.find(each) for each in (token, SECRET)]
    assert [caller.name for caller in found if caller] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ann", "entry 1 is not name:roles:token"),
        (f"a:viewer:{SECRET} :viewer:{SECRET}", "entry 2 is not name:roles:token"),
        (f"ann:boss:{SECRET}", "entry 1 has a role that is none of"),
        (f"ann::{SECRET}", "entry 1 has a role that is none of"),
        ("ann:viewer:short", "entry 1 has a token of fewer than 16 characters"),
        ("ann:viewer:sha256:abc", "entry 1 has a sha256 that"),
        (f"ann:viewer:{SECRET} bob:viewer:{SECRET}", "two entries have the same token"),
        (" , ", "holds no token"),
    ],
)
def test_a_faulty_entry_stops_the_start(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tokens(load_config(tokens=text))
    assert str(caught.value).startswith("SISU_TOKENS: ")
    assert fault in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SISU_TOKENS_FILE"):
        load_tokens(load_config(tokens_file=tmp_path / "no"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False),
        ("localhost.evil", False),
    ],
)  # fmt: skip
def test_what_loopback_is(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_other_addresses_want_tokens() -> None:
    with pytest.raises(ConfigError, match=r"SISU_HOST: 0\.0\.0\.0 .* SISU_TOKENS"):
        http_settings(load_config(host="0.0.0.0"), "dsn")
    open_to_all = http_settings(load_config(host="0.0.0.0", tokens=f"a:viewer:{SECRET}"), "dsn")
    assert open_to_all.hosts is None


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, {"localhost", "127.0.0.1", "[::1]"}),
        ({"hosts": "Sisu.example, other"}, {"localhost", "127.0.0.1", "[::1]", "sisu.example", "other"}),
        ({"host": "::1"}, {"localhost", "127.0.0.1", "[::1]"}),
        ({"host": "0.0.0.0", "hosts": "sisu.example", "tokens": f"a:viewer:{SECRET}"}, {"sisu.example"}),
    ],
)
def test_under_which_names_it_answers(given: dict[str, Any], hosts: set[str]) -> None:
    assert http_settings(load_config(**given), "dsn").hosts == frozenset(hosts)
