"""The statements of queries.sql by name."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def _statements() -> dict[str, LiteralString]:
    return parse(files(__package__).joinpath("queries.sql").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, LiteralString]:
    """The statements of a file of named queries (`-- name: word`), which is part of the program."""
    parts = _NAME.split(text)
    return {name: _body(cast(LiteralString, sql)) for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def query(name: str) -> LiteralString:
    """The statement called `name`. Raises KeyError for a name that queries.sql does not hold."""
    return _statements()[name]


def _body(sql: LiteralString) -> LiteralString:
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
