"""Answers: JSON with an ETag, and errors in the one shape of the lattice.

`{error, code, details? | drift? | status?, hint?, traceId?}`. What the database or the network said (500)
goes to the log under the trace id, never into a body.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from ..errors import SisuError
from ..models import JSON

JSON_TYPE = "application/json"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_HINTS = {
    "run_not_found": "GET /api/ops/wf lists runs",
    "intent_not_found": "create it first: POST /api/intents",
    "artifact_not_found": "GET /api/runs/{workflowID}/artifacts lists those of a run",
    "gate_not_found": "GET /api/runs/{workflowID}/gates lists those of a run",
    "gate_closed": "GET /api/runs/{workflowID}/gates says how it stands",
    "stale_approval": "look again: GET /api/runs/{workflowID}/gates",
}
"""Next actions in the words of HTTP, for codes whose hint from the database is a call for psql."""


def answer(value: JSON, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    body = _encode(value).encode("utf-8", "replace")
    return Response(body, status, {"content-type": JSON_TYPE, **(headers or {})})


def tagged(value: JSON, known: str | None) -> Response:
    """`value` as JSON with its ETag; 304 without a body when `known` (If-None-Match) names it."""
    body = _encode(value).encode("utf-8", "replace")
    tag = _tag(body)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if matches(known, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, {"content-type": JSON_TYPE, **headers})


def tag_of(value: JSON) -> str:
    """The ETag that `tagged` gives to `value`."""
    return _tag(_encode(value).encode("utf-8", "replace"))


def _tag(body: bytes) -> str:
    return etag(hashlib.sha256(body).hexdigest())


def etag(digest: str) -> str:
    return f'"{digest}"'


def matches(known: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names the ETag."""
    if known is None:
        return False
    words = (word.strip().removeprefix("W/") for word in known.split(","))
    return any(word in ("*", tag) for word in words)


def refusal(error: SisuError, trace_id: str) -> Response:
    """The answer that stands for `error`."""
    if error.http >= 500:
        return internal(trace_id)
    told: dict[str, Any] = {"error": error.message, "code": error.code}
    if error.details:
        told["details"] = error.details
    if error.drift:
        told["drift"] = error.drift
    if error.status:
        told["status"] = error.status
    if hint := _HINTS.get(error.code, error.hint):
        told["hint"] = hint
    headers = {"www-authenticate": 'Bearer realm="sisu"'} if error.http == 401 else {}
    return answer(told, error.http, headers)


def internal(trace_id: str) -> Response:
    """500: says nothing but where to look."""
    told = {"error": "the server could not answer", "code": "internal_error", "traceId": trace_id}
    return answer({**told, "hint": "the server's log has the reason under this trace id"}, 500)
