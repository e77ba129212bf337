"""A shim on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.http.http_support import Api, put_recipes, serving


@pytest.fixture
def api(dsn: str, conn: psycopg.Connection[Any]) -> Iterator[Api]:
    """Without tokens, as on loopback; the recipes plain and gated are there, plain is the default."""
    put_recipes(conn)
    with serving(dsn) as running:
        yield running
