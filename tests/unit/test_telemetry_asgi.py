"""Spans of requests: in the trace of the caller, without what is secret, gone when telemetry is off."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace

from sisu_kodo import logs
from sisu_kodo.config import load_config
from sisu_kodo.telemetry import traced
from sisu_kodo.telemetry.asgi import Receive, Scope, Send, Traced
from tests.telemetry.receiver import Receiver, receiving

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    scope["seen"] = trace.get_current_span().get_span_context()
    logs.Log("sisu_kodo.test").info("seen")
    scope.update(scope["outcome"])
    if scope["status"] is None:
        raise ValueError("a secret in a traceback")
    await send({"type": "http.response.start", "status": scope["status"], "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nothing() -> dict[str, Any]:
    return {}


def _call(
    status: int | None = 200, headers: dict[str, str] | None = None, **outcome: Any
) -> tuple[Receiver, Scope]:
    """One request through the middleware, and the end of the application."""
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/runs/ih_1/approve-plan",
        "query_string": b"token=hunter2",
        "scheme": "http",
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        "status": status,
        "outcome": outcome,
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def both(app: Traced) -> None:
        try:
            await app(scope, _nothing, send)
        except ValueError:
            scope["raised"] = True
        assert logs.span.get() is None
        await app({"type": "lifespan"}, _nothing, send)

    with receiving() as receiver:
        config = load_config(enable_otlp=True, otlp_traces_endpoint=receiver.url)
        app = traced(_app, config, "api-1")
        assert isinstance(app, Traced)
        asyncio.run(both(app))
    return receiver, scope


def test_it_joins_the_trace_of_its_caller() -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "authorization": "Bearer hunter2"}
    route = SimpleNamespace(path="/api/runs/{workflowID}/approve-plan")
    receiver, scope = _call(202, headers, route=route, path_params={"workflowID": "ih_1"})
    (span,) = receiver.spans
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE, CALLER, "server")
    assert span.name == "POST /api/runs/{workflowID}/approve-plan"
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/runs/{workflowID}/approve-plan",
        "http.response.status_code": 202,
        "url.path": "/api/runs/ih_1/approve-plan",
        "url.scheme": "http",
        "workflowID": "ih_1",
    }
    assert (span.resource["service.name"], span.resource["service.instance.id"]) == ("sisu-kodo", "api-1")
    assert f"{scope['seen'].span_id:016x}" == span.span_id, "it is the current span of the application"
    assert not span.is_error and "hunter2" not in repr(span)


@pytest.mark.parametrize("header", [None, "nonsense", f"00-{'0' * 32}-{CALLER}-01"])
def test_without_a_caller_it_is_a_trace_of_its_own(header: str | None) -> None:
    receiver, _ = _call(headers={} if header is None else {"traceparent": header})
    (span,) = receiver.spans
    assert (span.name, span.parent_id) == ("POST", "") and span.trace_id not in (TRACE, "0" * 32)


def test_a_caller_that_does_not_sample_is_heeded() -> None:
    receiver, scope = _call(headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    assert receiver.spans == [] and f"{scope['seen'].trace_id:032x}" == TRACE


@pytest.mark.parametrize(("status", "is_error"), [(404, False), (503, True), (None, True)])
def test_only_our_own_failures_are_errors(status: int | None, is_error: bool) -> None:
    receiver, scope = _call(status)
    (span,) = receiver.spans
    assert (span.attributes["http.response.status_code"], span.is_error) == (status or 500, is_error)
    assert scope.get("raised", False) == (status is None), "what is raised goes on to the server"
    assert "secret" not in repr(span)


def test_logs_within_a_request_name_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    out = StringIO()
    logger = logging.getLogger("sisu_kodo")
    monkeypatch.setattr(logger, "handlers", logger.handlers[:])
    monkeypatch.setattr(logger, "propagate", True)
    logs.setup(stream=out, as_json=True)
    receiver, _ = _call()
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    (seen,) = [each for each in events if each["action"] == "seen"]
    assert (seen["trace_id"], seen["span_id"]) == (receiver.spans[0].trace_id, receiver.spans[0].span_id)
    assert logs.span.get() is None


def test_off_it_is_the_application_itself_and_no_sdk_is_imported() -> None:
    assert traced(_app, load_config(), "api-1") is _app
    program = """
import sys
from sisu_kodo.cli import main, runner
from sisu_kodo.config import load_config
from sisu_kodo.telemetry import traced, tracer_for
from sisu_kodo.worker import Worker
assert tracer_for(load_config(), "w", "1") is None and traced(print, load_config(), "api") is print
sdk = ("opentelemetry.sdk", "opentelemetry.exporter", "google")
loaded = [name for name in sys.modules if name.startswith(sdk)]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True)
