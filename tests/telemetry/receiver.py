"""An OTLP/HTTP receiver in a thread: decodes what is really sent, or misbehaves as it is told."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire

_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True)
class Received:
    """A span as it came; ids are hex, `parent_id` is empty for a root."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    start: int
    end: int
    attributes: dict[str, Any]
    is_error: bool
    message: str
    resource: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    links: list[tuple[str, str, dict[str, Any]]]


@dataclass
class Receiver:
    """`answer`: a status to answer with, `never` (accepts, and does not answer) or `garbage` (no HTTP)."""

    answer: int | str = 200
    spans: list[Received] = field(default_factory=list)
    requests: int = 0
    paths: set[str] = field(default_factory=set)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def of(self, run_id: str) -> list[Received]:
        return [span for span in list(self.spans) if span.attributes.get("workflowID") == run_id]

    def keep(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_received(span, resource) for span in of_scope.spans]


def _received(span: Wire, resource: dict[str, Any]) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=_KINDS[span.kind],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_plain(span.attributes),
        is_error=span.status.code == 2,
        message=span.status.message,
        resource=resource,
        events=[(event.name, _plain(event.attributes)) for event in span.events],
        links=[(link.trace_id.hex(), link.span_id.hex(), _plain(link.attributes)) for link in span.links],
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def receiving(answer: int | str = 200) -> Iterator[Receiver]:
    """A receiver on a free port of loopback."""
    receiver = Receiver(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.answer == "never":
                receiver.over.wait(120)
                return
            if receiver.answer == "garbage":
                self.wfile.write(b"\x00\x01 this is not HTTP \xff\n\n")
                self.close_connection = True
                return
            if receiver.answer == 200:
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                receiver.keep(self.path, body)
            assert isinstance(receiver.answer, int)
            out = ExportTraceServiceResponse().SerializeToString()
            self.send_response(receiver.answer)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
