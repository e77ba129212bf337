"""Database errors as Python exceptions: the SQLSTATE alone decides the class, texts are only passed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg


class SisuError(Exception):
    """Any refusal or failure with a place in the lattice.

    `http` is the HTTP status, `exit_code` the exit code of the `sisu` program, `code` the machine word,
    `details` a list of `{path, message}`, `drift` a list of `{field, existing, incoming}`,
    `status` the run's status where that is the reason, `hint` the next action in words.
    """

    http: ClassVar[int] = 500
    exit_code: ClassVar[int] = 5
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: list[dict[str, Any]] | None = None,
        drift: list[dict[str, Any]] | None = None,
        status: str | None = None,
        hint: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details = details or []
        self.drift = drift or []
        self.status = status
        self.hint = hint
        self.sqlstate = sqlstate


class BadRequest(SisuError):
    """PT400: malformed input or a policy that forbids it; `details` lists every fault."""

    http, exit_code, default_code = 400, 2, "schema_violation"


class Unauthorized(SisuError):
    """PT401: no or a wrong token."""

    http, exit_code, default_code = 401, 1, "unauthorized"


class Forbidden(SisuError):
    """PT403: the role may not do this."""

    http, exit_code, default_code = 403, 1, "forbidden"


class NotFound(SisuError):
    """PT404: no such intent, run, step, gate, artifact or recipe."""

    http, exit_code, default_code = 404, 3, "not_found"


class Conflict(SisuError):
    """PT409: drift, an illegal transition, or a lease that is no longer held."""

    http, exit_code, default_code = 409, 4, "conflict"


class Infrastructure(SisuError):
    """Anything else that the database or the network said."""


BY_SQLSTATE: dict[str, type[SisuError]] = {
    "PT400": BadRequest,
    "PT401": Unauthorized,
    "PT403": Forbidden,
    "PT404": NotFound,
    "PT409": Conflict,
}

_NOT_MIGRATED = "this database is not migrated, or not to this version: sisu db migrate"
_HINTS = dict.fromkeys(("3F000", "42P01", "42883"), _NOT_MIGRATED)
"""What to do about SQLSTATEs that the engine does not raise itself: its schema or a function is missing."""

_CONNECTION_STATES = {"57P01", "57P02", "57P03", "57P05", "25006", "53300"}
_TRANSIENT = {"40001", "40P01", "55P03"}
_TRANSIENT_CLASSES = {"53", "57", "58"}  # out of resources, stopped by an operator, a failing system


def from_database(error: psycopg.Error) -> SisuError:
    """The exception that stands for `error`; never raises."""
    kind = BY_SQLSTATE.get(error.sqlstate or "", Infrastructure)
    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    facts = _facts(error.diag.message_detail) if kind is not Infrastructure else {}
    return kind(
        message,
        code=facts.get("code"),
        details=facts.get("details"),
        drift=facts.get("drift"),
        status=facts.get("status"),
        hint=error.diag.message_hint or _HINTS.get(error.sqlstate or ""),
        sqlstate=error.sqlstate,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Within the block, psycopg errors become SisuErrors."""
    try:
        yield
    except psycopg.Error as error:
        raise from_database(error) from error


def is_connection_error(error: BaseException, connection: psycopg.AsyncConnection[Any] | None = None) -> bool:
    """True when the way to the database is the problem, so that the same call may succeed on a new
    connection.
    """
    if connection is not None and (connection.closed or connection.broken):
        return True
    if isinstance(error, OSError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state.startswith("08") or state in _CONNECTION_STATES


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later, whatever is in it."""
    state = (isinstance(error, psycopg.Error) and error.sqlstate) or ""
    return state in _TRANSIENT or state[:2] in _TRANSIENT_CLASSES


def first_line(error: BaseException) -> str:
    """What went wrong, in a line."""
    primary: Any = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return str(primary or str(error).strip().partition("\n")[0] or type(error).__name__)


def _facts(detail: str | None) -> dict[str, Any]:
    try:
        facts = json.loads(detail or "{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
