"""Clients that take their time are cut off, and others are served meanwhile."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.http.http_support import Api, put_recipes, serving, wait_until, work


@pytest.fixture
def hurried(dsn: str, conn: psycopg.Connection[Any]) -> Iterator[Api]:
    """A server with a second's patience."""
    put_recipes(conn)
    with serving(dsn, receive_seconds=1.0, send_seconds=1.0) as running:
        yield running


def dial(api: Api) -> socket.socket:
    host, _, port = api.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts: list[bytes] = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


HEAD = b"POST /api/intents HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (b"", b""),
        (b"POST /api/in", b"HTTP/1.1 408"),
        (HEAD + b"X-Slow: ", b"HTTP/1.1 408"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"HTTP/1.1 408"),
    ],
    ids=["says nothing", "half a line", "half a head", "half a body", "half a chunked body"],
)
def test_who_does_not_come_to_an_end_is_cut_off(hurried: Api, begin: bytes, status: bytes) -> None:
    with dial(hurried) as slow:
        slow.sendall(begin)
        began = time.monotonic()
        answer = all_of(slow)
        assert 0.5 < time.monotonic() - began < 8
    assert answer.startswith(status) if status else answer == b""
    if status:
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request_timeout"
    assert hurried.get("/api/ops/wf").status_code == 200


def test_a_drip_does_not_help(hurried: Api) -> None:
    """The time is that of the whole request, not of the next byte."""
    with dial(hurried) as slow:
        slow.sendall(HEAD)
        began = time.monotonic()
        try:
            while time.monotonic() < began + 8:
                slow.sendall(b"X-A: b\r\n")
                time.sleep(0.1)
        except ConnectionError:
            pass
        assert time.monotonic() - began < 6


def test_others_are_served_meanwhile(hurried: Api) -> None:
    slow = [dial(hurried) for _ in range(100)]
    try:
        for number, each in enumerate(slow):
            each.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 9\r\n\r\n{")
        began = time.monotonic()
        assert {hurried.get("/api/ops/wf").status_code for _ in range(10)} == {200}
        assert time.monotonic() - began < 5
        assert all(all_of(each).startswith(b"HTTP/1.1 408") for each in slow)
    finally:
        for each in slow:
            each.close()


def test_a_request_in_time_may_take_long_to_answer(hurried: Api) -> None:
    run = hurried.run()
    assert hurried.get(f"/api/runs/{run}?wait=2.5").status_code == 200


def test_who_does_not_read_is_cut_off(hurried: Api, conn: psycopg.Connection[Any]) -> None:
    run = hurried.run()
    work(conn, artifacts=[{"kind": "file", "name": "big", "inline": "x" * 25_000_000}])
    (ref,) = hurried.get(f"/api/runs/{run}/artifacts").json()
    with dial(hurried) as lazy:
        lazy.sendall(f"GET /api/artifacts/{ref['artifactId']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(3)
        assert len(all_of(lazy)) < 25_000_000
    assert hurried.get("/api/ops/wf").status_code == 200
    assert len(hurried.get(f"/api/artifacts/{ref['artifactId']}").content) == 25_000_002


def test_what_is_not_http_is_refused(hurried: Api) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"X:" + b"y" * 99999,
    ):
        with dial(hurried) as odd:
            odd.sendall(raw)
            answer = all_of(odd)
        assert answer.startswith(b"HTTP/1.1 400"), answer[:100]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "bad_request"


def test_a_kept_connection_serves_many(hurried: Api) -> None:
    for _ in range(3):
        assert hurried.get("/api/ops/wf").status_code == 200
        time.sleep(0.6)
    wait_until(lambda: hurried.get("/api/ops/wf").status_code == 200, "an answer")
