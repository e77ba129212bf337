"""Live and record, against a small HTTP server that speaks OpenCode's two calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sisu_kodo import oc
from sisu_kodo.models import StepError
from sisu_kodo.oc import Live

REQUEST = {"goal": "repair it", "inputs": {}, "constraints": {}}
PLAN = {"goal": "repair it", "tests": ["tests/test_x.py"]}
SCHEMA = {"type": "object"}


@dataclass
class Server:
    """What it answers to a message, and what it was asked."""

    url: str
    status: int = 200
    body: bytes = b""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def answers(self, value: Any, status: int = 200) -> None:
        self.body, self.status = json.dumps(value).encode(), status


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked.append((self.path, json.loads(data)))
            opening = self.path == "/session"
            body = b'{"id": "ses 1"}' if opening else state.body
            self.send_response(200 if opening else state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def test_one_session_and_one_message_with_the_schema(server: Server) -> None:
    server.answers({"info": {"structured": PLAN}, "parts": []})
    answer = Live(server.url + "/", SCHEMA).plan(REQUEST)
    assert (answer.plan, answer.source, answer.key) == (PLAN, "live", oc.request_key(REQUEST))
    (first, opened), (second, message) = server.asked
    assert (first, opened) == ("/session", {"title": "repair it"})
    assert second == "/session/ses%201/message"
    assert message["format"] == {"type": "json_schema", "schema": SCHEMA}
    assert [part["type"] for part in message["parts"]] == ["text"] and "repair it" in message["parts"][0][
        "text"
    ]


def test_json_text_in_the_last_part_counts_too(server: Server) -> None:
    parts = [
        {"type": "text", "text": "thinking"},
        {"type": "text", "text": json.dumps(PLAN)},
        {"type": "step"},
    ]
    server.answers({"info": {}, "parts": parts})
    assert Live(server.url, SCHEMA).plan(REQUEST).plan == PLAN


@pytest.mark.parametrize(
    ("value", "status", "code", "retryable"),
    [
        ({}, 500, "infra_failure", True),
        ({}, 503, "infra_failure", True),
        ({}, 429, "infra_failure", True),
        ({}, 400, "planner_failed", False),
        ({}, 404, "planner_failed", False),
        ({"info": {"error": {"data": {"message": "no model"}}}}, 200, "planner_failed", False),
        ({"info": {}, "parts": [{"type": "text", "text": "no"}]}, 200, "planner_failed", False),
        ([], 200, "planner_failed", False),
    ],
)
def test_failures_are_told_apart(server: Server, value: Any, status: int, code: str, retryable: bool) -> None:
    server.answers(value, status)
    with pytest.raises(StepError) as caught:
        Live(server.url, SCHEMA).plan(REQUEST)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)


def test_an_answer_that_is_not_json_is_retried(server: Server) -> None:
    server.body = b"<html>"
    with pytest.raises(StepError) as caught:
        Live(server.url, SCHEMA).plan(REQUEST)
    assert (caught.value.code, caught.value.retryable) == ("infra_failure", True)


def test_a_server_that_is_away_is_retried(server: Server) -> None:
    with pytest.raises(StepError) as caught:
        Live("http://127.0.0.1:1", SCHEMA).plan(REQUEST)
    assert (caught.value.code, caught.value.retryable) == ("infra_failure", True)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "nonsense"])
def test_only_http_addresses_are_called(url: str) -> None:
    with pytest.raises(StepError) as caught:
        Live(url, SCHEMA).plan(REQUEST)
    assert caught.value.code == "planner_unavailable"


def test_what_was_recorded_is_replayed_without_the_server(server: Server, tmp_path: Path) -> None:
    server.answers({"info": {"structured": PLAN}})
    folder = tmp_path / "recordings"

    def planner(mode: str) -> oc.Planner:
        nothing = tmp_path / "none.json"
        return oc.planner(mode, schema=SCHEMA, default=nothing, recordings=folder, base_url=server.url)

    assert planner("record").plan(REQUEST).source == "record"
    files = list(folder.iterdir())
    assert [file.name for file in files] == [f"{oc.request_key(REQUEST)}.json"]
    assert json.loads(files[0].read_text()) == {"request": REQUEST, "plan": PLAN}
    calls = len(server.asked)
    answer = planner("replay").plan(dict(reversed(REQUEST.items())))
    assert (answer.plan, answer.source, len(server.asked)) == (PLAN, "recording", calls)


def test_recording_again_replaces_the_recording(server: Server, tmp_path: Path) -> None:
    record = oc.planner(
        "record", schema=SCHEMA, default=tmp_path / "none", recordings=tmp_path, base_url=server.url
    )
    for plan in ({"goal": "one"}, {"goal": "two"}):
        server.answers({"info": {"structured": plan}})
        record.plan(REQUEST)
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["plan"] == {"goal": "two"}


def test_a_recording_that_cannot_be_written_is_retried(server: Server, tmp_path: Path) -> None:
    server.answers({"info": {"structured": PLAN}})
    (tmp_path / "file").write_text("")
    record = oc.planner(
        "record", schema=SCHEMA, default=tmp_path, recordings=tmp_path / "file", base_url=server.url
    )
    with pytest.raises(StepError) as caught:
        record.plan(REQUEST)
    assert (caught.value.code, caught.value.retryable) == ("infra_failure", True)
