"""Our records as OpenTelemetry's spans, and their way over OTLP/HTTP. The only module that knows the SDK.

The standard variables (OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, …,
OTEL_RESOURCE_ATTRIBUTES) are read by the SDK itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ..logs import masked
from .spans import Span

_SCOPE = InstrumentationScope("sisu_kodo")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Collector:
    """Where spans go. `send` never raises."""

    def __init__(self, endpoint: str | None, instance: str, version: str) -> None:
        self.resource = Resource.create(
            {"service.name": "sisu-kodo", "service.version": version, "service.instance.id": instance}
        )
        self._endpoint = endpoint
        self._said = _Said()
        self._exporter: OTLPSpanExporter | None = None

    def send(self, spans: Sequence[Span | ReadableSpan]) -> str | None:
        """What went wrong, or None."""
        self._said.last = ""
        try:
            if self._exporter is None:
                self._exporter = OTLPSpanExporter(endpoint=self._endpoint)
            result = self._exporter.export(
                [span if isinstance(span, ReadableSpan) else readable(span, self.resource) for span in spans]
            )
        except Exception as error:
            return _plain(f"{type(error).__name__}: {error}", self._endpoint)
        if result is SpanExportResult.SUCCESS:
            return None
        return _plain(self._said.last or "refused", self._endpoint)

    def stop(self) -> None:
        """A `send` under way gives up where it can."""
        if self._exporter is not None:
            with suppress(Exception):
                self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def provider(self, put: Callable[[ReadableSpan], None]) -> TracerProvider:
        """A provider for spans that others make; those that are over are `put`."""
        provider = TracerProvider(resource=self.resource, shutdown_on_exit=False)
        provider.add_span_processor(_Putting(put))
        return provider


class _Putting(SpanProcessor):
    def __init__(self, put: Callable[[ReadableSpan], None]) -> None:
        self._put = put

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._put(span)


class _Said(logging.Handler):
    """Keeps the last thing that the exporter said off the terminal, where it would stand for every batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        logger = logging.getLogger("opentelemetry.exporter")
        logger.handlers[:] = [self]
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _plain(text: str, endpoint: str | None) -> str:
    """Without credentials, and without what a URL carries after its path."""
    for pattern, mask in ((r"\?[^\s'\"]+", "?…"), (r"[^\s/'\"@]*:[^\s/@]*@", "***@")):
        text = re.sub(pattern, mask, text.replace(endpoint, "the endpoint") if endpoint else text)
    return str(masked("", text))[:500]


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """The record as the SDK has it."""
    failed = span.error is not None
    return ReadableSpan(
        name=span.name,
        context=context_of(span.trace_id, span.span_id),
        parent=context_of(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        events=[Event(name, attributes, at) for at, name, attributes in span.events],
        links=[Link(context_of(span.link[0], span.link[1]), span.link[2])] if span.link else (),
        kind=SpanKind.CONSUMER if span.is_message else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.error) if failed else Status(StatusCode.UNSET),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=_SCOPE,
    )


def context_of(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_SAMPLED)


def offer(provider: TracerProvider) -> None:
    """Make it the provider of this process, for spans that handlers make, unless there is one already."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)


def current(span_id: str, trace_id: str) -> Any:
    """An OpenTelemetry context in which this span is the current one."""
    return trace.set_span_in_context(trace.NonRecordingSpan(context_of(trace_id, span_id)))
