"""How a route is described: one call beside it says all that the document tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from . import models

_WORDS = {
    304: "What the caller knows is what there is.",
    400: "Malformed, or against a policy; details lists every fault.",
    401: "No token, or one that is not known.",
    403: "The token's roles, the gate's policy, or the request's origin forbid it.",
    404: "There is no such thing.",
    408: "The request did not arrive in time.",
    409: "It conflicts with what is stored: drift or status says how.",
    413: "The body is over the limit.",
    500: "The database or the network failed; the log has the reason under traceId.",
}
_CODES = {
    400: "schema_violation",
    401: "token_missing",
    403: "role_missing",
    404: "run_not_found",
    408: "request_timeout",
    409: "drift",
    413: "payload_too_large",
    500: "internal_error",
}


def spec(
    operation: str,
    summary: str,
    good: Mapping[int, tuple[Any, str]],
    *,
    refusals: tuple[int, ...] = (400, 404),
    body: str | None = None,
    body_hides: tuple[str, ...] = (),
    body_needs: Mapping[str, bool] | None = None,
    example: Mapping[str, Any] | None = None,
    query: Mapping[str, tuple[str, Any]] | None = None,
    query_shape: str | None = None,
) -> dict[str, Any]:
    """Keyword arguments for a FastAPI route.

    `good` maps statuses to (model of the answer, words). `body` and `query_shape` name a shape of
    app.v_arguments; `body_hides` are arguments that come from elsewhere, `body_needs` says which are
    required where HTTP differs, `example` is a body. `query` maps the query's parameters to (argument,
    example).
    """
    responses: dict[int | str, dict[str, Any]] = {}
    for status, (model, words) in good.items():
        told: dict[str, Any] = {"description": words}
        if isinstance(model, dict):
            told["content"] = model
        elif model is not None:
            told["model"] = model
        responses[status] = told
    posts = body is not None or query is not None
    for status in sorted({*refusals, 401, 403, 500, *((408, 413) if posts else ())}):
        responses[status] = refused_as(status)
    extra: dict[str, Any] = {}
    if body is not None:
        extra["x-body"] = {
            "shape": body,
            "hides": list(body_hides),
            "needs": dict(body_needs or {}),
            "example": example,
        }
    if query is not None:
        extra["x-query"] = {
            "shape": query_shape,
            "names": {name: argument for name, (argument, _) in query.items()},
            "examples": {name: shown for name, (_, shown) in query.items()},
        }
    return {
        "operation_id": operation,
        "summary": summary,
        "status_code": min(good),
        "responses": responses,
        "openapi_extra": extra,
        "response_model": None,
    }


def refused_as(status: int) -> dict[str, Any]:
    """The response entry of a refusal, with an example."""
    if status == 304:
        return {"description": _WORDS[304]}
    shown = {"error": _WORDS[status].rstrip(".").lower(), "code": _CODES[status]}
    return {
        "description": _WORDS[status],
        "model": models.Error,
        "content": {"application/json": {"example": shown}},
    }


def not_modified() -> tuple[type[BaseModel] | None, str]:
    """The entry of `good` for 304."""
    return None, _WORDS[304]
