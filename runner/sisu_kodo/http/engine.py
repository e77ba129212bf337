"""The database as the shim sees it: a pool of connections, one named query at a time."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from ..errors import Infrastructure, from_database
from ..logs import Log
from ..queries import query
from .settings import HttpSettings

_log = Log(__name__)
_CONNECT_SECONDS = 10.0
_STATEMENT_MS = 15_000
_AGAIN = {"40001", "40P01"}
_TRIES = 3

Connection = psycopg.AsyncConnection[TupleRow]


class Engine:
    """A pool on the database of the settings. Every answer is a value, a row or a SisuError."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._pool: AsyncConnectionPool[Connection] | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Engine]:
        """Open for the length of the block. Does not wait for the database."""
        dsn = await asyncio.to_thread(role_dsn, self._settings.dsn, self._settings.role)
        pool = AsyncConnectionPool(
            dsn,
            connection_class=psycopg.AsyncConnection[TupleRow],
            kwargs={
                "autocommit": True,
                "application_name": "sisu api",
                "connect_timeout": int(_CONNECT_SECONDS),
                "prepare_threshold": None,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
            min_size=min(2, self._settings.pool_size),
            max_size=self._settings.pool_size,
            timeout=_CONNECT_SECONDS,
            max_waiting=1000,
            check=_still_open,
            open=False,
            name="sisu api",
        )
        await pool.open(wait=False)
        self._pool = pool
        try:
            yield self
        finally:
            self._pool = None
            await pool.close(timeout=5.0)

    async def value(self, statement: str, /, **arguments: Any) -> Any:
        """The first column of the first row of a named query."""
        return (await self.row(statement, **arguments))[0]

    async def row(self, statement: str, /, **arguments: Any) -> TupleRow:
        """The first row. Raises SisuError; a call that lost a deadlock has done nothing and is made again."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return await self._row(statement, arguments)
            except psycopg.Error as error:
                if error.sqlstate in _AGAIN and tries_left:
                    continue
                raise from_database(error) from error
            except (PoolTimeout, TooManyRequests, OSError) as error:
                raise Infrastructure(f"no database connection: {error}") from error
        raise AssertionError("the last try returns or raises")

    async def _row(self, statement: str, arguments: dict[str, Any]) -> TupleRow:
        if self._pool is None:
            raise Infrastructure("the pool is closed")
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query(statement), arguments)
            row = await cursor.fetchone()
        if row is None:
            raise Infrastructure(f"{statement} answered without a row")
        return row

    def stats(self) -> dict[str, int]:
        """Of the pool: pool_size, pool_available, requests_waiting, …"""
        return {} if self._pool is None else self._pool.get_stats()


def role_dsn(dsn: str, role: str | None) -> str:
    """`dsn` with a statement timeout, and with `role` where its login may become it.

    Both are startup options of a connection, so that a pooler in between cannot leak them to others. Where it
    refuses them, or the database cannot be asked now, the DSN stays as it is.
    """
    given = conninfo_to_dict(dsn).get("options") or ""
    limit = f"-c statement_timeout={_STATEMENT_MS}"
    wanted = [f"{limit} -c role={role}"] if role else []
    for options in (*wanted, limit):
        candidate = make_conninfo(dsn, options=f"{given} {options}".strip())
        try:
            psycopg.connect(candidate, connect_timeout=int(_CONNECT_SECONDS)).close()
            return candidate
        except psycopg.Error as error:
            _log.debug("api.options_refused", options=options, error=str(error).strip().partition("\n")[0])
    return dsn


async def _still_open(connection: Connection) -> None:
    """Without a round trip: an idle connection that has something to say was closed by the server."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await connection.close()
        raise psycopg.OperationalError("the server closed the connection")
