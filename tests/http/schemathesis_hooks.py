"""What schemathesis loads for test_document.py: a check that a refused request has written nothing.

It compares the hash of all tables before and after each call, in the database that SISU_TRIED_DSN names.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import psycopg
import schemathesis

from tests.http.http_support import everything

_before: list[str] = [""]


@cache
def _connection() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["SISU_TRIED_DSN"], autocommit=True)


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: Any) -> None:
    _before[0] = everything(_connection())


@schemathesis.hook
def map_body(ctx: Any, body: Any) -> Any:
    """An integer is written without a fraction: 2.0 is one for JSON Schema, and a fault for the database."""
    return _whole(body)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.check
def refused_requests_and_reads_write_nothing(ctx: Any, response: Any, case: Any) -> None:
    wrote = everything(_connection()) != _before[0]
    if response.status_code >= 400 or case.method.upper() == "GET":
        assert not wrote, f"{response.status_code}, and yet something was written"
