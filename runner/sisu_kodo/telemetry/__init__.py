"""Traces: one per run, sent over OTLP/HTTP when DBOS_ENABLE_OTLP is on.

    tracer_for(config, worker, version) → Tracer | None     for a runner
    traced(app, config, instance) → an ASGI application     for the HTTP API

The SDK of OpenTelemetry is not imported while it is off. docs/architecture.md says what is sent, and by whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Config
    from .asgi import ASGI
    from .tracer import Tracer


def tracer_for(config: Config, worker: str, version: str) -> Tracer | None:
    """What traces the steps of a runner; None when telemetry is off."""
    if not config.enable_otlp:
        return None
    from .tracer import Tracer

    return Tracer(config.otlp_traces_endpoint, worker, version)


def traced(app: ASGI, config: Config, instance: str) -> ASGI:
    """The application, with a span for every request; the application itself when telemetry is off."""
    if not config.enable_otlp:
        return app
    from .asgi import Traced

    return Traced(app, config.otlp_traces_endpoint, instance, config.app_version)
