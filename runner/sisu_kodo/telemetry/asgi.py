"""A span for every HTTP request, in the trace of its caller when it says which (`traceparent`).

    app = traced(app, config, instance)       outermost, so that it sees what every other middleware answers

Any ASGI application. Of a request it takes the method, the path, `traceparent` and `tracestate`, no more.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, SpanKind, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.status import StatusCode

from .. import logs
from .exporter import Exporter
from .otlp import Collector

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

_PATIENCE = 2.0
_propagator = TraceContextTextMapPropagator()


class Traced:
    """`app` with its requests traced. What is left is sent when the application's lifespan, or the process,
    ends; that takes two seconds at most.
    """

    def __init__(self, app: ASGI, endpoint: str | None, instance: str, version: str) -> None:
        self._app = app
        collector = Collector(endpoint, instance, version)
        self.exporter = Exporter(collector.send, collector.stop)
        # Not the provider of the process: frameworks that find one tell more than we want, query strings too.
        self._tracer = collector.provider(self.exporter.put).get_tracer("sisu_kodo")
        self.exporter.start()
        atexit.register(self.close)

    def close(self) -> None:
        atexit.unregister(self.close)
        self.exporter.close(_PATIENCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                await asyncio.to_thread(self.close)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = str(scope["method"])
        attributes = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope["scheme"]}
        parent = _propagator.extract(_trace_headers(scope))
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        status: int | None = None

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with _within(span):
                await self._app(scope, receive, answer)
        except Exception:
            status = status or 500  # the server answers it
            raise
        finally:
            _finish(span, scope, method, status)


def _trace_headers(scope: Scope) -> dict[str, str]:
    wanted = (b"traceparent", b"tracestate")
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted}


@contextmanager
def _within(span: Span) -> Iterator[None]:
    """Within the block it is the current span, of our logs too."""
    context = span.get_span_context()
    outer = logs.span.get()
    logs.span.set((f"{context.trace_id:032x}", f"{context.span_id:016x}"))
    try:
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield
    finally:
        logs.span.set(outer)


def _finish(span: Span, scope: Scope, method: str, status: int | None) -> None:
    """What is known by now: the route, the run it was about, and how it ended."""
    route = getattr(scope.get("route"), "path", None)
    if isinstance(route, str):
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    if isinstance(run_id := (scope.get("path_params") or {}).get("workflowID"), str):
        span.set_attribute("workflowID", run_id)
    if status is not None:  # else the client has gone
        span.set_attribute("http.response.status_code", status)
    if status is not None and status >= 500:
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", str(status))
    span.end()
