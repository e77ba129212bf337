"""The queue and its thread: bounded, never in the way, one complaint an outage."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from sisu_kodo.telemetry.exporter import Exporter


class Away:
    """A collector; `fault` is what it answers, `gate` what it waits for."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.batches: list[list[Any]] = []

    def send(self, spans: Sequence[Any]) -> str | None:
        self.calls += 1
        self.gate.wait(30)
        if self.fault is None:
            self.batches.append(list(spans))
        return self.fault

    @property
    def got(self) -> list[Any]:
        return [span for batch in self.batches for span in batch]


class Ends:
    """A source with these rows: (id, spans)."""

    def __init__(self, rows: list[tuple[int, list[Any]]], at_once: int = 2) -> None:
        self.rows = rows
        self.forgotten: list[int] = []
        self.at_once = at_once
        self.closed = False

    def take(self) -> tuple[list[int], list[Any], bool]:
        taken, self.rows = self.rows[: self.at_once], self.rows[self.at_once :]
        spans = [span for _, spans in taken for span in spans]
        return [number for number, _ in taken], spans, len(taken) == self.at_once

    def forget(self, end_ids: list[int]) -> None:
        self.forgotten += end_ids

    def close(self) -> None:
        self.closed = True


def _until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _called(away: Away, times: int) -> bool:
    return away.calls == times


def _complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("sisu_kodo"), "propagate", True)
    caplog.set_level(logging.INFO, "sisu_kodo")


def test_everything_is_sent_in_order_and_in_batches() -> None:
    away = Away()
    exporter = Exporter(away.send, batch=10, pace=0.01)
    for n in range(25):
        exporter.put(n)
    exporter.start()
    _until(lambda: len(away.got) == 25)
    assert away.got == list(range(25)) and max(map(len, away.batches)) == 10
    exporter.put(25)
    exporter.close(2)
    assert away.got == list(range(26)) and (exporter.sent, exporter.dropped) == (26, 0)


def test_the_first_span_after_a_pause_goes_at_once() -> None:
    away = Away()
    exporter = Exporter(away.send, pace=30.0)
    exporter.start()
    exporter.put("first")
    _until(lambda: away.got)
    exporter.put("second")
    time.sleep(0.05)
    assert away.got == ["first"], "then they gather"
    exporter.close(2)
    assert away.got == ["first", "second"]


def test_a_collector_that_hangs_costs_no_memory_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    away, stopped = Away(), threading.Event()
    away.gate.clear()
    exporter = Exporter(away.send, stopped.set, most=100, batch=10)
    exporter.start()
    exporter.put(0)
    _until(lambda: away.calls)
    began = time.monotonic()
    for n in range(50_000):
        exporter.put(n)
    assert time.monotonic() - began < 2
    assert len(exporter._queue) == 100 and exporter.dropped == 49_900
    began = time.monotonic()
    exporter.close(0.1)
    assert time.monotonic() - began < 1 and stopped.is_set()
    exporter.put("late")
    assert exporter.dropped == 50_001 and _complaints(caplog) == ["telemetry.failed"]
    away.gate.set()


@pytest.mark.parametrize(("quiet", "complaints"), [(-1.0, 2), (300.0, 1)])
def test_one_complaint_an_outage_and_not_too_often(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, quiet: float, complaints: int
) -> None:
    monkeypatch.setattr("sisu_kodo.telemetry.exporter._QUIET_SECONDS", quiet)
    monkeypatch.setattr("sisu_kodo.telemetry.exporter._LONGEST_DELAY", 0.01)
    away = Away()
    away.fault = "404"
    exporter = Exporter(away.send, pace=0.0)
    exporter.start()
    for n in range(1, 6):
        exporter.put(n)
        _until(partial(_called, away, n))
    assert _complaints(caplog) == ["telemetry.failed"] and exporter.dropped == 5
    away.fault = None
    time.sleep(0.02)
    exporter.put(6)
    _until(lambda: exporter.sent)
    _until(lambda: [each for each in caplog.records if each.getMessage() == "telemetry.recovered"])
    away.fault = "again, soon after"
    exporter.put(7)
    _until(lambda: away.calls == 7)
    exporter.close(2)
    assert len(_complaints(caplog)) == complaints


def test_it_is_left_alone_for_a_while() -> None:
    away = Away()
    away.fault = "503"
    exporter = Exporter(away.send, pace=0.0)
    exporter.start()
    exporter.put(1)
    _until(lambda: exporter.dropped)
    for n in range(100):
        exporter.put(n)
    time.sleep(0.1)
    assert away.calls == 1
    began = time.monotonic()
    exporter.close(5)
    assert time.monotonic() - began < 0.5 and away.calls == 1, "nor is it tried at the end"
    assert exporter.dropped == 101


def test_what_the_source_has_is_forgotten_once_it_is_sent() -> None:
    away, ends = Away(), Ends([(n, [f"a{n}", f"b{n}"]) for n in range(5)])
    exporter = Exporter(away.send, batch=3)
    exporter.start(ends)
    _until(lambda: len(ends.forgotten) == 5)
    assert away.got == [f"{letter}{n}" for n in range(5) for letter in "ab"]
    ends.rows = [(9, ["last"])]
    exporter.close(2)
    assert ends.forgotten[-1] == 9 and away.got[-1] == "last" and ends.closed


def test_what_was_not_sent_is_not_forgotten() -> None:
    away, ends = Away(), Ends([(1, ["a"]), (2, ["b"]), (3, ["c"])])
    away.fault = "down"
    exporter = Exporter(away.send)
    exporter.start(ends)
    _until(lambda: away.calls)
    exporter.close(2)
    assert ends.forgotten == [] and ends.rows == [(3, ["c"])]


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://ann:hunter2@127.0.0.1:1/v1/traces?key=hunter2", "the endpoint"),
        ("ann:hunter2@nowhere", "the endpoint"),
        (None, "4318"),
    ],
)
def test_a_complaint_has_no_secrets(
    endpoint: str | None, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
    from sisu_kodo.telemetry.otlp import Collector, _plain

    fault = Collector(endpoint, "w", "1").send([])
    assert fault and "hunter2" not in fault
    assert not caplog.records, "the exporter of the SDK does not speak for itself"
    assert said in _plain(f"cannot reach {endpoint or 'http://localhost:4318'}", endpoint)
    assert "hunter2" not in _plain("to http://ann:hunter2@h:1/p?key=hunter2 and b:hunter2@h", None)
