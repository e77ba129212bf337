"""The outermost layer: who may talk to this server at all, a trace id for every request, counting, and the
last resort.

On loopback the Host header must name this machine: a web page whose name was made to point here (DNS
rebinding) is refused. A browser says in Origin from where a request comes: a POST from another site is
refused. Programs send neither header wrongly.
"""

from __future__ import annotations

import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import Forbidden
from ..logs import Log, span
from .answers import internal, refusal
from .metrics import HttpMetrics
from .settings import HttpSettings

_log = Log(__name__)
_PORT = re.compile(r":\d{1,5}$")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, metrics: HttpMetrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        trace_id = trace_id_of(headers)
        scope.setdefault("state", {})["trace_id"] = trace_id
        began = time.perf_counter()
        status = 0
        if scope["method"] == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent.setdefault("x-content-type-options", "nosniff")
                sent.setdefault("cache-control", "no-store")
            await send(message)

        try:
            if refused := self._refused(scope["method"], headers):
                await refusal(refused, trace_id)(scope, receive, answered)
            else:
                await self._app(scope, receive, answered)
        except Exception as error:
            _log.error("http.failed", error, trace_id=trace_id, method=scope["method"], path=_path(scope))
            if not status:
                await internal(trace_id)(scope, receive, answered)
        finally:
            self._note(scope, status, time.perf_counter() - began, trace_id)

    def _refused(self, method: str, headers: Headers) -> Forbidden | None:
        host = headers.get("host", "").lower()
        allowed = self._settings.hosts
        if allowed is not None and _PORT.sub("", host) not in allowed:
            return Forbidden(
                f"this server is not called {host[:200]!r}", code="host_not_allowed", hint="see SISU_HOSTS"
            )
        if method in _SAFE:
            return None
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign or (origin is not None and origin.partition("://")[2].lower() != host):
            return Forbidden("the request comes from another site", code="cross_origin")
        return None

    def _note(self, scope: Scope, status: int, seconds: float, trace_id: str) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
        self._metrics.answered(method, route, status, seconds)
        level = _log.info if method != "GET" or status >= 500 else _log.debug
        level(
            "http.answered",
            method=scope["method"],
            path=_path(scope),
            status=status,
            ms=round(seconds * 1000, 1),
            trace_id=trace_id if status >= 500 else None,
        )


def _path(scope: Scope) -> str:
    """As it was sent, percent-encoded: one line whatever is in it."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    return raw.decode("ascii", "backslashreplace")[:300]


def trace_id_of(headers: Headers) -> str:
    """That of the request's span, of the caller's `traceparent`, or a new one."""
    if (within := span.get()) is not None:
        return within[0]
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return found[1] if found else secrets.token_hex(16)
