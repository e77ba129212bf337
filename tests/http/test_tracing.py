"""`sisu api` with telemetry on: a span for every request, in the trace of its caller."""

from __future__ import annotations

import signal
from typing import Any

import httpx
import psycopg

from sisu_kodo.telemetry.spans import run_span_id
from tests.http.http_support import put_recipes, wait_until
from tests.http.test_start import serving_process
from tests.telemetry.receiver import receiving

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_request_is_a_span_in_the_trace_of_its_caller(dsn: str, conn: psycopg.Connection[Any]) -> None:
    put_recipes(conn)
    with receiving() as receiver:
        environment = {
            "DATABASE_URL": dsn,
            "DBOS_ENABLE_OTLP": "true",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.url,
            "TRACE_BASE_URL": "http://viewer/{traceId}/{spanId}",
        }
        with serving_process(environment) as (url, process):
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            body = {"goal": "a secret", "inputs": {}, "constraints": {}}
            intent = httpx.post(f"{url}/api/intents", json=body, headers=headers).json()
            header = httpx.post(f"{url}/api/runs", json=intent | {"isReplay": None}).json()
            assert header["code"] == "schema_violation"
            header = httpx.post(f"{url}/api/runs", json={"intentId": intent["intentId"]}).json()
            run_id = header["workflowID"]
            httpx.get(f"{url}/api/runs/{run_id}/steps?wait=0&token=secret")
            wait_until(lambda: len(receiver.spans) >= 4, "the spans of the requests")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    spans = {span.name: span for span in receiver.spans if "openapi" not in span.name}
    assert list(spans) == ["POST /api/intents", "POST /api/runs", "GET /api/runs/{workflowID}/steps"]
    first, _, read = spans.values()
    assert (first.trace_id, first.parent_id, first.kind) == (TRACE, CALLER, "server")
    assert first.attributes["http.response.status_code"] == 201
    assert first.resource["service.instance.id"].startswith("api-")
    assert read.attributes["url.path"] == f"/api/runs/{run_id}/steps" and not read.parent_id
    assert read.attributes["workflowID"] == run_id
    assert "secret" not in repr(receiver.spans)
    assert header["traceUrl"] == f"http://viewer/{header['traceId']}/{run_span_id(run_id)}"
