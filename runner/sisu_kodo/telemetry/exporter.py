"""A bounded queue of spans, and the one thread that sends them.

Whoever puts a span never waits: a full queue drops it and counts. A collector that is away, slow or wrong is
told about once per outage and left alone for a while; nothing else notices.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..logs import Log

_log = Log(__name__)


class Source(Protocol):
    """Spans that are fetched instead of put (telemetry.ends)."""

    def take(self) -> tuple[list[int], list[Any], bool]: ...
    def forget(self, end_ids: list[int]) -> None: ...
    def close(self) -> None: ...


class Exporter:
    """`send` gets a batch and returns what went wrong, or None; `stop` makes a `send` under way give up.

    Batches are sent every `pace` seconds, at once after a pause; the source is asked every `interval`.
    `sent` and `dropped` count spans.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Any]], str | None],
        stop: Callable[[], None] = lambda: None,
        *,
        most: int = 8192,
        batch: int = 512,
        pace: float = 0.1,
        interval: float = 1.0,
    ) -> None:
        self._send = send
        self._stop = stop
        self._most = most
        self._batch = batch
        self._pace = pace
        self._interval = interval
        self._queue: deque[Any] = deque()
        self._source: Source | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._sent_at = 0.0
        self._asked_at = 0.0
        self._away_until = 0.0
        self._delay = 0.0
        self._is_told = False
        self._told_at = -_QUIET_SECONDS
        self.sent = 0
        self.dropped = 0

    def start(self, source: Source | None = None) -> None:
        self._source = source
        self._thread = threading.Thread(target=self._run, name="sisu-telemetry", daemon=True)
        self._thread.start()

    def put(self, span: Any) -> None:
        """From any thread. Never waits, never fails."""
        if len(self._queue) >= self._most or self._closing.is_set():
            self.dropped += 1
            return
        self._queue.append(span)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Send what is left, for at most so many seconds."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self._complain("the collector has not answered")
                self._stop()
        self.dropped += len(self._queue)
        if self.sent or self.dropped:
            _log.info("telemetry.closed", sent=self.sent, dropped=self.dropped)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._until_asking())
            self._wake.clear()
            if (pause := self._pause()) > 0:
                self._closing.wait(pause)
            self._flush()
            self._ask()
        if time.monotonic() >= self._away_until:
            self._flush()
            self._asked_at = 0.0
            self._ask()
        if self._source is not None:
            self._source.close()

    def _until_asking(self) -> float | None:
        if self._source is None:
            return None
        return max(0.0, self._asked_at + self._interval - time.monotonic())

    def _pause(self) -> float:
        now = time.monotonic()
        if now < self._away_until:
            return self._away_until - now
        return 0.0 if len(self._queue) >= self._batch else self._sent_at + self._pace - now

    def _flush(self) -> None:
        """Send what is there by now; what comes meanwhile gathers."""
        left = len(self._queue)
        while left > 0 and time.monotonic() >= self._away_until:
            batch = [self._queue.popleft() for _ in range(min(self._batch, left))]
            left -= len(batch)
            self._deliver(batch)

    def _ask(self) -> None:
        """Fetch from the source, and have it forget what was sent."""
        if self._source is None or time.monotonic() < max(self._asked_at + self._interval, self._away_until):
            return
        more = True
        while more:
            end_ids, spans, more = self._source.take()
            for first in range(0, len(spans), self._batch):
                if not self._deliver(spans[first : first + self._batch]):
                    return
            self._source.forget(end_ids)
            self._flush()
        self._asked_at = time.monotonic()

    def _deliver(self, spans: Sequence[Any]) -> bool:
        fault = self._send(spans)
        self._sent_at = time.monotonic()
        if fault is None:
            self.sent += len(spans)
            self._delay = self._away_until = 0.0
            if self._is_told:
                self._is_told = False
                _log.info("telemetry.recovered", dropped=self.dropped)
            return True
        self.dropped += len(spans)
        self._delay = min(_LONGEST_DELAY, 2 * self._delay or 1.0)
        self._away_until = self._sent_at + self._delay
        self._complain(fault)
        return False

    def _complain(self, fault: str) -> None:
        if not self._is_told and time.monotonic() > self._told_at + _QUIET_SECONDS:
            self._is_told = True
            self._told_at = time.monotonic()
            _log.warning("telemetry.failed", error=fault, hint="runs go on without; told once")


_LONGEST_DELAY = 30.0
_QUIET_SECONDS = 300.0
"""A collector that comes and goes is not told about more often."""
