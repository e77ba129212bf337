"""Strict JSON: what Postgres could not store, or two readers would read differently, is refused with its
place.

The text goes to the database as it came. Python parses it only to look.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from ..errors import BadRequest, SisuError

DEEPEST = 100
_LONGEST_NUMBER = 400
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_EXPONENT = re.compile(r"[eE][+-]?0*(\d+)$")
_DRAINED = 16
"""A refused body of up to so many limits is read to its end, so that the client sees the refusal."""


class TooLarge(SisuError):
    """The body is over the limit; nothing of it was kept."""

    http, exit_code, default_code = 413, 2, "payload_too_large"


async def read_object(request: Request, limit: int) -> str:
    """The request's body: the text of one JSON object, `{}` when it is empty.

    Whatever Content-Type says, it is read as JSON. Raises BadRequest, TooLarge.
    """
    return as_object(await _read(request, limit))


def as_object(raw: bytes) -> str:
    """`raw` as the text of a JSON object that Postgres can store. Raises BadRequest naming every fault."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8 at byte {error.start}") from None
    if not text.strip(" \t\r\n"):
        return "{}"
    if not isinstance(read_value(text), dict):
        raise refused([("", "must be an object")])
    return text


def read_value(text: str) -> Any:
    """The value of a JSON text that Postgres can store. Raises BadRequest naming every fault."""
    value, doubled = _parse(text)
    if faults := [*doubled, *_unstorable(value, text)]:
        raise refused(faults)
    return value


def refused(faults: list[tuple[str, str]]) -> BadRequest:
    """PT400 schema_violation in the words of `app.refuse`: a list of (path, message)."""
    told = "; ".join(f"{path} {message}".strip() for path, message in faults[:5])
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
    details = [{"path": path, "message": message} for path, message in faults]
    return BadRequest(f"request: {told}{more}", details=details, hint="fix the fields named in details")


async def _read(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "0")[:15]
    if announced.isdigit() and int(announced) > limit * _DRAINED:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit * _DRAINED:
            break
        if size <= limit:
            parts.append(part)
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


def _parse(text: str) -> tuple[Any, list[tuple[str, str]]]:
    doubled: list[tuple[str, str]] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        if len(made) != len(found):
            counts = Counter(name for name, _ in found)
            doubled.extend((name, "is given twice") for name, count in counts.items() if count > 1)
        return made

    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except RecursionError:
        raise refused([("", f"is nested deeper than {DEEPEST} levels")]) from None
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    return value, doubled


def _number(text: str) -> float:
    exponent = _EXPONENT.search(text)
    size = len(exponent[1]) if exponent else 0
    if len(text) > _LONGEST_NUMBER or size > 3 or (exponent and int(exponent[1]) > _LONGEST_NUMBER):
        raise refused([("", f"holds a number that is out of range: {text[:30]}…")])
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise refused([("", f"holds a number that is out of range: {text[:30]}")])
    return value


def _integer(text: str) -> int:
    _number(text)
    return int(text)


def _constant(text: str) -> float:
    raise _malformed(f"is not JSON: {text} is no number")


def _unstorable(value: Any, text: str) -> Iterator[tuple[str, str]]:
    """Levels beyond the deepest, NUL and lone surrogates; a body that cannot have any is not walked."""
    strings = _SUSPECT.search(text) is not None
    if not strings and text.count("{") + text.count("[") <= DEEPEST:
        return
    stack: list[tuple[str, int, Any]] = [("", 1, value)]
    while stack:
        path, depth, each = stack.pop()
        if isinstance(each, str):
            if strings:
                yield from _characters(path, each)
            continue
        if not isinstance(each, (dict, list)):
            continue
        if depth > DEEPEST:
            yield "", f"is nested deeper than {DEEPEST} levels"
            return
        if isinstance(each, list):
            stack.extend((f"{path}[{i}]", depth + 1, inner) for i, inner in enumerate(each))
            continue
        for name, inner in each.items():
            if strings:
                yield from _characters(path, name)
            stack.append((f"{path}.{name}".lstrip("."), depth + 1, inner))


def checked_text(text: str) -> Iterator[str]:
    """What Postgres could not store of a text."""
    if "\0" in text:
        yield r"holds the character \u0000, which cannot be stored"
    if _LONE_SURROGATE.search(text):
        yield "holds half of a surrogate pair"


def _characters(path: str, text: str) -> Iterator[tuple[str, str]]:
    shown = _LONE_SURROGATE.sub("\ufffd", path.replace("\0", "\ufffd"))[:200]
    return ((shown, fault) for fault in checked_text(text))


def _malformed(message: str) -> BadRequest:
    details = [{"path": "", "message": message}]
    return BadRequest(
        f"the body {message}", code="malformed_json", details=details, hint="send a JSON object"
    )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body has more than {limit} bytes", hint="SISU_BODY_LIMIT of the server says how many"
    )
