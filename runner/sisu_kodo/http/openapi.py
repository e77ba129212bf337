"""The OpenAPI document: what the routes say of themselves, with the shapes of the database filled in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ..config import package_version
from .schemas import Shapes

_ABOUT = """Sisu-Kodo is a durable workflow engine that is a Postgres schema. This API checks the shape of a
request, calls one function of it and maps its error: `{error, code, details? | drift? | status?, hint?}`.

Refusals come in this order: 401, 403, 400, 404, 409; a refused request has written nothing. An empty body is
`{}`, whatever Content-Type says a body is read as JSON, and an unknown field is a fault."""
_TAGS = [
    {"name": "runs", "description": "Intents, and runs of them."},
    {"name": "gates", "description": "Where a human decides."},
    {"name": "artifacts", "description": "What steps leave behind."},
    {"name": "ops", "description": "On duty: each accepted action is audited."},
]


def document(app: FastAPI, shapes: Shapes, secured: bool) -> dict[str, Any]:
    """The document of the routes of `app`; `secured` says whether tokens are asked for."""
    made = get_openapi(
        title="Sisu-Kodo", version=package_version(), description=_ABOUT, routes=app.routes, tags=_TAGS
    )
    parts = made.setdefault("components", {})
    schemas: dict[str, Any] = parts.setdefault("schemas", {})
    for leftover in ("HTTPValidationError", "ValidationError"):
        schemas.pop(leftover, None)
    for path in made["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            _fill_body(operation, shapes, schemas)
            _fill_query(operation, shapes)
    if secured:
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
    return made


def _fill_body(operation: dict[str, Any], shapes: Shapes, schemas: dict[str, Any]) -> None:
    told = operation.pop("x-body", None)
    if told is None:
        return
    name = operation["operationId"][0].upper() + operation["operationId"][1:]
    schemas[name] = shapes.object(told["shape"], told["hides"], told["needs"])
    content = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": told["example"]}
    operation["requestBody"] = {"required": True, "content": {"application/json": content}}


def _fill_query(operation: dict[str, Any], shapes: Shapes) -> None:
    told = operation.pop("x-query", None)
    if told is None:
        return
    for name, argument in told["names"].items():
        schema, required = shapes.argument(told["shape"], argument)
        parameter = {"name": name, "in": "query", "required": required, "schema": schema}
        if (shown := told["examples"].get(name)) is not None:
            parameter["example"] = shown
        operation.setdefault("parameters", []).append(parameter)
