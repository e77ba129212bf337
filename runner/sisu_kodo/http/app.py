"""The application: routers in, errors out. One process serves one; it keeps nothing but its pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from ..errors import SisuError
from . import artifacts, gates, intents, ops, runs
from .answers import answer, internal, refusal
from .bodies import refused
from .engine import Engine
from .guard import Guard
from .metrics import HttpMetrics
from .openapi import document
from .page import HEADERS, page
from .schemas import Shapes
from .settings import HttpSettings
from .shim import Shim

ROUTERS = (intents.router, runs.router, gates.router, artifacts.router, ops.router)


class Application:
    """The ASGI application with what its server has to reach: `asgi`, and the shim behind it."""

    def __init__(
        self, settings: HttpSettings, arguments: Sequence[dict[str, Any]], pages: Sequence[APIRouter] = ()
    ) -> None:
        """`arguments` are the rows of app.v_arguments; `pages` are routers of pages, which take `/`."""
        self.shim = Shim(settings, Engine(settings), HttpMetrics())
        self._shapes = Shapes(arguments)
        self._document: dict[str, Any] | None = None
        self.app = self._build(pages or (self._front(),))
        self.asgi: ASGIApp = Guard(self.app, settings, self.shim.metrics)

    def _build(self, pages: Sequence[APIRouter]) -> FastAPI:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with self.shim.engine.opened():
                yield

        app = FastAPI(
            title="Sisu-Kodo",
            lifespan=lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers={
                SisuError: _refused,
                HTTPException: _no_route,
                RequestValidationError: _bad_parameter,
                ClientDisconnect: _gone,
                Exception: _failed,
            },
        )
        app.state.shim = self.shim
        for router in (*ROUTERS, self._papers(), *pages):
            app.include_router(router)
        return app

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self._document is None:
            self._document = document(self.app, self._shapes, bool(self.shim.settings.tokens))
        return self._document

    def _papers(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)

        @router.get("/openapi.json")
        async def openapi() -> Response:
            return answer(self.document(), headers={"cache-control": "no-cache"})

        @router.get("/docs")
        async def docs(request: Request) -> Response:
            base = f"{request.url.scheme}://{request.url.netloc}"
            return HTMLResponse(page(self.document(), base), headers=HEADERS)

        return router

    def _front(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)

        @router.get("/")
        async def front() -> Response:
            return RedirectResponse("/docs", 307)

        return router


def _trace_id(request: Request) -> str:
    return str(request.scope["state"]["trace_id"])


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, SisuError)
    if error.http >= 500:
        raise error  # the guard logs it
    return refusal(error, _trace_id(request))


async def _failed(request: Request, error: Exception) -> Response:
    return internal(_trace_id(request))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody hears it; for the counters


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        words = {word.strip() for word in (error.headers or {}).get("Allow", "").split(",")}
        allowed = ", ".join(sorted(words | ({"HEAD"} if "GET" in words else set())))
        told = {"error": f"{request.method} is not for this route", "code": "method_not_allowed"}
        return answer({**told, "hint": f"it takes {allowed}"}, 405, {"allow": allowed})
    if error.status_code == 404:
        told = {"error": f"no route {request.url.path}", "code": "route_not_found"}
        return answer({**told, "hint": "GET /openapi.json lists them"}, 404)
    return answer({"error": str(error.detail), "code": "http_error"}, error.status_code, error.headers)


async def _bad_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        (
            str(fault["loc"][-1]),
            str(fault["msg"]).replace("Input should ", "must ").replace("String should ", "must "),
        )
        for fault in error.errors()
    ]
    return refusal(refused(faults), _trace_id(request))
