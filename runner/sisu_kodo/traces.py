"""Where a person looks at the trace of a run."""

from __future__ import annotations

from urllib.parse import quote


def trace_url(base: str | None, trace_id: str | None, span_id: str | None = None) -> str | None:
    """`base` (TRACE_BASE_URL) with `{traceId}` and `{spanId}` filled in; None without a base or a trace."""
    if base is None or trace_id is None:
        return None
    return base.replace("{traceId}", quote(trace_id)).replace("{spanId}", quote(span_id or ""))
