"""Structured logs on standard error: one event a line, each with an `action`.

JSON when the stream is not a terminal, readable otherwise. Fields are data, never secrets: a value whose name
says that it is one (password, secret, token, dsn, url with credentials) is masked.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any

_SECRET = re.compile(r"password|passwd|secret|token|api_?key|dsn|authorization", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(\w+://[^:/@\s]+):[^@/\s]+@|(password=)\S+", re.IGNORECASE)

span: ContextVar[tuple[str, str] | None] = ContextVar("span", default=None)
"""Trace id and span id of what is done here, where it is traced."""


class Log:
    """`log.info("run.started", run="ih_…")`: the action first, then its facts."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, action: str, **facts: Any) -> None:
        self._write(logging.DEBUG, action, facts)

    def info(self, action: str, **facts: Any) -> None:
        self._write(logging.INFO, action, facts)

    def warning(self, action: str, **facts: Any) -> None:
        self._write(logging.WARNING, action, facts)

    def error(self, action: str, error: BaseException | None = None, **facts: Any) -> None:
        """`error` adds its traceback to the event."""
        self._write(logging.ERROR, action, facts, error)

    def _write(
        self, level: int, action: str, facts: dict[str, Any], error: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            info = (type(error), error, error.__traceback__) if error is not None else None
            self._logger.log(level, action, extra={"facts": facts}, exc_info=info)


def setup(level: str = "INFO", stream: IO[str] | None = None, as_json: bool | None = None) -> None:
    """Send the logs of `sisu_kodo` to `stream` (standard error); `as_json` None asks the stream whether it is
    a terminal.
    """
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Json() if (as_json if as_json is not None else not out.isatty()) else _Readable())
    root = logging.getLogger("sisu_kodo")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def adopt(*names: str) -> None:
    """Have what libraries log under these names, from warnings on, written as events of ours."""
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers[:] = [_Foreign()]
        logger.setLevel(logging.WARNING)
        logger.propagate = False


class _Foreign(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = masked("", record.getMessage().strip())
        Log("sisu_kodo.library")._write(record.levelno, "library.said", {"name": record.name, "text": text})


def masked(name: str, value: Any) -> Any:
    """`value`, or a mask where `name` or the text itself gives away a secret."""
    if _SECRET.search(name):
        return "***"
    if isinstance(value, str):
        return _CREDENTIALS.sub(lambda m: f"{m[1]}:***@" if m[1] else f"{m[2]}***", value)
    return value


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {name: masked(name, value) for name, value in getattr(record, "facts", {}).items()}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event = {"at": at, "level": record.levelname.lower(), "action": record.getMessage(), **_facts(record)}
        if (within := span.get()) is not None:
            event["trace_id"], event["span_id"] = within
        if record.exc_info and record.exc_info[1]:
            event["traceback"] = masked("", "".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(event, default=str, ensure_ascii=False)


class _Readable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items() if value is not None)
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"{at} {mark}{record.getMessage():<18} {facts}".rstrip()
        if record.exc_info and record.exc_info[1]:
            line += "\n" + masked("", "".join(traceback.format_exception(record.exc_info[1]))).rstrip()
        return line
