"""Is this process alive, and could it serve: `GET /healthz`, `GET /readyz`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import psycopg

from ..config import Config, ConfigError
from ..database.paths import replay_module, sql_dir
from ..errors import from_database
from ..queries import query

_SECONDS = 3
_DEAR = 0.1
"""Seconds."""


class _Kept:
    """The numbers of the last scrape, and until when they stand (`time.monotonic`)."""

    found: dict[str, Any] | None = None
    until = 0.0


@dataclass(frozen=True)
class Readiness:
    """What the answer depends on. `is_strict`: new runs must get this process's app version, so that a shim
    and the workers of its version belong together; a runner may serve an older one on purpose.
    """

    dsn: str = field(repr=False)
    app_version: str
    is_strict: bool
    is_leaving: Callable[[], bool] = lambda: False
    _kept: _Kept = field(default_factory=_Kept, init=False, repr=False)

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether it is ready, and each check with what it found."""
        try:
            found = await self._ask("health")
        except (psycopg.Error, OSError, TimeoutError) as error:
            return False, {"database": failed(error)}
        current = found["codeHash"] == shipped_code()
        checks = {
            "database": {"ok": True},
            "schema": {"ok": current, "revision": found["revision"], "codeCurrent": current},
            "pgmq": {"ok": not found["missingQueues"], "missingQueues": found["missingQueues"]},
            "appVersion": {
                "ok": not self.is_strict or found["appVersion"] == self.app_version,
                "this": self.app_version,
                "newRuns": found["appVersion"],
            },
            "process": {"ok": not self.is_leaving()},
        }
        return all(check["ok"] for check in checks.values()), checks

    async def gauges(self) -> dict[str, Any] | None:
        """The numbers of one scrape; None when the database does not answer. Where they were dear to find, as
        while somebody holds an old snapshot, they stand for twenty times as long as that took.
        """
        now = time.monotonic()
        if now < self._kept.until:
            return self._kept.found
        try:
            self._kept.found = await self._ask("gauges")
        except (psycopg.Error, OSError, TimeoutError):
            return None
        took = time.monotonic() - now
        self._kept.until = now + 20 * took if took > _DEAR else 0.0
        return self._kept.found

    async def _ask(self, statement: str) -> Any:
        async with (
            asyncio.timeout(_SECONDS),
            await psycopg.AsyncConnection.connect(
                self.dsn, autocommit=True, application_name="sisu admin", connect_timeout=_SECONDS
            ) as connection,
        ):
            row = await (await connection.execute(query(statement))).fetchone()
        return row[0] if row else None


def failed(error: BaseException) -> dict[str, Any]:
    """A check that failed, without what the database said of itself."""
    told: dict[str, Any] = {"ok": False, "error": type(error).__name__}
    if isinstance(error, psycopg.Error) and error.sqlstate:
        told |= {"sqlstate": error.sqlstate, "hint": from_database(error).hint}
    return told


@cache
def shipped_code() -> str:
    """The hash of the code files of this program."""
    return str(replay_module().code_hash(sql_dir()))


def check_parity(config: Config, found: dict[str, Any]) -> None:
    """Raises ConfigError when the environment says of the engine what the database does not say."""
    wrong: list[str] = []
    wanted = config.sbx_queue_partition
    stored = [found["partitioned"].get(queue) for queue in ("intentQ", "sbxQ")]
    if wanted is not None and stored != [wanted, wanted]:
        wrong.append(
            f"SBX_QUEUE_PARTITION is {str(wanted).lower()}, intentQ and sbxQ of the database are not so"
        )
    for variable, mode, key in (
        ("OC_MODE", config.oc_mode, "ocMode"),
        ("SBX_MODE", config.sbx_mode, "sbxMode"),
    ):
        if mode is not None and mode != found[key]:
            wrong.append(f"{variable} is {mode}, new runs of the database get {found[key]}")
    if wrong:
        raise ConfigError(
            f"{'; '.join(wrong)}: `sisu db migrate` with this environment changes the database; or unset it"
        )
