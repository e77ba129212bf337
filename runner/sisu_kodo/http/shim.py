"""What every route of one application shares, and how a route gets it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from ..errors import Forbidden, Unauthorized
from ..models import JSON
from ..telemetry.spans import run_span_id
from ..traces import trace_url
from .bodies import read_object
from .engine import Engine
from .metrics import HttpMetrics
from .models import EXAMPLE_RUN
from .settings import HttpSettings
from .tokens import ANYBODY, ROLES, Caller


@dataclass
class Shim:
    """One application: its settings, its way to the database, and who waits at this moment."""

    settings: HttpSettings
    engine: Engine
    metrics: HttpMetrics
    waiting: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def header(self, header: dict[str, Any]) -> dict[str, Any]:
        """A run header with its traceUrl."""
        base, span_id = self.settings.trace_base_url, run_span_id(header["workflowID"])
        return {**header, "traceUrl": trace_url(base, header.get("traceId"), span_id)}

    async def body(self, request: Request) -> str:
        """The text of the request's JSON object."""
        return await read_object(request, self.settings.body_limit)


def _shim(request: Request) -> Shim:
    shim: Shim = request.app.state.shim
    return shim


Shared = Annotated[Shim, Depends(_shim)]


def identify(request: Request, shim: Shim) -> Caller:
    """Who calls: the owner of the token in `Authorization: Bearer`. Raises Unauthorized.

    Without tokens in the settings everybody is somebody without a name who may do everything.
    """
    if not shim.settings.tokens:
        return ANYBODY
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("a token is wanted", code="token_missing", hint="send Authorization: Bearer …")
    caller = shim.settings.tokens.find(token.strip())
    if caller is None:
        raise Unauthorized("the token is not known", code="token_unknown", hint="ask whoever runs the server")
    return caller


def _may(*roles: str) -> Any:
    async def allowed(request: Request, shim: Shared) -> Caller:
        caller = identify(request, shim)
        if not caller.may(*roles):
            raise Forbidden(
                f"{caller.name} may not do this", code="role_missing", hint=f"it takes {' or '.join(roles)}"
            )
        return caller

    return Depends(allowed)


Reader = Annotated[Caller, _may(*ROLES)]
Starter = Annotated[Caller, _may("starter")]
Approver = Annotated[Caller, _may("approver")]
Operator = Annotated[Caller, _may("operator")]
Sleeper = Annotated[Caller, _may("starter", "operator")]

RunId = Annotated[
    str,
    Path(
        alias="workflowID",
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        examples=[EXAMPLE_RUN],
    ),
]
GateKey = Annotated[
    str,
    Path(
        alias="gateKey",
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        examples=["approve-plan"],
    ),
]


def written_as(pattern: str) -> BeforeValidator:
    """A number written in this way; Python would also read `1_0` and `+5`."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            raise PydanticCustomError("number", "must be a number in decimal digits")
        return value

    return BeforeValidator(check)


ArtifactId = Annotated[
    int,
    Path(alias="artifactId", ge=1, le=2**63 - 1, examples=[1]),
    written_as(r"-?(0|[1-9][0-9]*)"),
]


def named(caller: Caller, field_name: str) -> str:
    """What a token says of its bearer, to be laid over a body: JSON text."""
    return json.dumps({} if caller.name is None else {field_name: caller.name})


def known(**arguments: JSON) -> str:
    """Arguments that come from the path: JSON text."""
    return json.dumps(arguments)
