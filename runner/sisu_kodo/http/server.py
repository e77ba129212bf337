"""A server of one application: its sockets, its patience with slow clients, and how it leaves.

A request has to arrive within `receive_seconds`, head and body; a client that stops reading an answer is cut
off after `send_seconds`. The first SIGTERM or SIGINT ends the long polls, finishes what is under way and
leaves; the second leaves at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_SECONDS = 10
_KEEP_ALIVE_SECONDS = 15


class _Patient(H11Protocol):
    """HTTP/1.1 on one connection, with a limit to how long the client may take."""

    receive_seconds = 15.0
    send_seconds = 30.0
    _receiving: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._receiving is None and self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._expect()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(self.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_request", msg.rstrip(".").lower())

    def _expect(self) -> None:
        self._receiving = self.loop.call_later(self.receive_seconds, self._too_slow)

    def _cancel(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _too_slow(self) -> None:
        self._receiving = None
        if self.transport.is_closing():
            return
        silent = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        if silent or self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
        else:
            self._refuse(408, "request_timeout", "the request did not arrive in time")
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _refuse(self, status: int, code: str, error: str) -> None:
        """Answers without the application, and closes."""
        body = json.dumps({"error": error, "code": code}).encode()
        head = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (
                h11.Response(status_code=status, headers=head, reason=b""),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn without its signal handling: whoever runs it calls `stop`."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self, *, at_once: bool = False) -> None:
        """Leave: in order, or at once."""
        self._on_stop()
        self.force_exit = self.force_exit or at_once
        self.should_exit = True


def server(
    app: ASGIApp,
    *,
    receive_seconds: float = 15.0,
    send_seconds: float = 30.0,
    on_stop: Callable[[], None] = lambda: None,
    lifespan: bool = True,
) -> Server:
    """A server for `app`; `await it.serve(sockets=[…])` runs it."""
    protocol = type(
        "Patient", (_Patient,), {"receive_seconds": receive_seconds, "send_seconds": send_seconds}
    )
    options: dict[str, Any] = {
        "http": protocol,
        "ws": "none",
        "lifespan": "on" if lifespan else "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": _GRACE_SECONDS,
    }
    return Server(uvicorn.Config(app, **options), on_stop)
