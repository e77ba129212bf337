"""Links to the trace viewer, and span ids that anybody can compute."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from sisu_kodo.telemetry.spans import attempt_span_id, run_span_id
from sisu_kodo.traces import trace_url


@pytest.mark.parametrize(
    ("base", "trace_id", "span_id", "url"),
    [
        ("http://t/trace/{traceId}", "ab12", None, "http://t/trace/ab12"),
        ("http://t/{traceId}?at={spanId}&{traceId}", "ab12", "cd34", "http://t/ab12?at=cd34&ab12"),
        ("http://t/{traceId}/{other}", "ab12", None, "http://t/ab12/{other}"),
        (None, "ab12", "cd34", None),
        ("http://t/{traceId}", None, "cd34", None),
    ],
)
def test_a_link_to_a_trace(base: str | None, trace_id: str | None, span_id: str | None, url: str) -> None:
    assert trace_url(base, trace_id, span_id) == url


def test_ids_of_spans_follow_from_what_they_are_about() -> None:
    assert run_span_id("ih_1") == sha256(b"run\0ih_1\0").hexdigest()[:16]
    different = {
        run_span_id("ih_1"),
        run_span_id("ih_1", 1),
        run_span_id("ih_2"),
        attempt_span_id("ih_1", 0, "", 1),
        attempt_span_id("ih_1", 0, "", 2),
        attempt_span_id("ih_1", 1, "", 1),
        attempt_span_id("ih_1", 0, "k", 1),
        attempt_span_id("ih_2", 0, "", 1),
    }
    assert len(different) == 8 and all(re.fullmatch("[0-9a-f]{16}", each) for each in different)
