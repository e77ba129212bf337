"""The runner's connections, as its parts pass them around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg.rows import TupleRow

Connection = psycopg.AsyncConnection[TupleRow]
Connect = Callable[[str], Awaitable[Connection]]
"""Opens a connection in autocommit mode for the purpose named."""
ConnectSync = Callable[[str], psycopg.Connection[Any]]
"""The same for a thread."""
