"""Artifacts: their bytes, their ETag, and headers with which no browser runs them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import psycopg
import pytest

from sisu_kodo.http.artifacts import disposition, served_type
from tests.http.http_support import Api, everything, work


def artifact(kind: str, name: str, body: bytes, media_type: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, "body": base64.b64encode(body).decode(), "mediaType": media_type}


@pytest.mark.parametrize("word", ["{}_0", "+{}", "0{}", "{}.0", "%20{}", "%D9%A1"])
def test_an_id_is_written_in_one_way(word: str, api: Api, conn: psycopg.Connection[Any]) -> None:
    run = api.run()
    work(conn, artifacts=[artifact("file", f"{n}.txt", b"x", "text/plain") for n in range(12)])
    first = api.get(f"/api/runs/{run}/artifacts").json()[0]["artifactId"]
    answer = api.get(f"/api/artifacts/{word.format(first)}")
    told = [{"path": "artifactId", "message": "must be a number in decimal digits"}]
    assert (answer.status_code, answer.json()["details"]) == (400, told)


def test_bytes_come_as_they_are(api: Api, conn: psycopg.Connection[Any]) -> None:
    body = bytes(range(256)) * 10
    run = api.run()
    made = [
        artifact("file", "data.bin", body, "application/octet-stream"),
        {"kind": "plan_card", "name": "plan.json", "inline": {"b": 1, "a": "ä"}},
        artifact("stdout", "out/täst.txt", "grüße".encode(), "text/plain"),
    ]
    work(conn, artifacts=made)
    work(conn)
    refs = api.get(f"/api/runs/{run}/artifacts").json()
    assert [ref["kind"] for ref in refs] == ["file", "plan_card", "stdout", "none"]
    before = everything(conn)
    for ref in refs:
        answer = api.get(f"/api/artifacts/{ref['artifactId']}")
        assert answer.status_code == 200
        assert (
            hashlib.sha256(answer.content).hexdigest() == ref["sha256"] == answer.headers["etag"].strip('"')
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for tag in (answer.headers["etag"], "*", f'"x", W/{answer.headers["etag"]}'):
            again = api.get(f"/api/artifacts/{ref['artifactId']}", headers={"if-none-match": tag})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == answer.headers["etag"]
        assert (
            api.get(f"/api/artifacts/{ref['artifactId']}", headers={"if-none-match": '"x"'}).status_code
            == 200
        )
    bodies = [api.get(f"/api/artifacts/{ref['artifactId']}") for ref in refs]
    assert bodies[0].content == body
    assert bodies[1].content == '{"a":"ä","b":1}'.encode()
    assert [b.headers["content-type"] for b in bodies] == [
        "application/octet-stream", "application/json",
        "text/plain; charset=utf-8", "text/plain; charset=utf-8",
    ]  # fmt: skip
    assert bodies[3].content == b"none"
    assert everything(conn) == before


def test_a_stored_type_cannot_add_a_header(api: Api, conn: psycopg.Connection[Any]) -> None:
    api.run()
    work(conn, artifacts=[artifact("file", 'a"\r\nX-Evil: 1/b\nc', b"x", "text/html\r\nX-Evil: 1")])
    (ref,) = api.get(f"/api/runs/{api.run()}/artifacts").json()
    answer = api.get(f"/api/artifacts/{ref['artifactId']}")
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    ("kind", "stored", "served"),
    [
        ("file", "text/markdown", "text/markdown; charset=utf-8"),
        ("file", "TEXT/Plain; charset=ISO-8859-1", "text/plain; charset=ISO-8859-1"),
        ("file", "text/html", "text/html; charset=utf-8"),
        ("file", "image/svg+xml", "image/svg+xml"),
        ("file", "nonsense", "application/octet-stream"),
        ("file", "text/plain; a=b\nX: 1", "application/octet-stream"),
        ("file", "te xt/plain", "application/octet-stream"),
        ("patch", "application/octet-stream", "text/x-diff; charset=utf-8"),
        ("patch", "bad\n", "text/x-diff; charset=utf-8"),
        ("stderr", "application/octet-stream", "text/plain; charset=utf-8"),
        ("timings", "application/json", "application/json"),
    ],
)
def test_the_type_is_the_stored_one_if_it_is_one(kind: str, stored: str, served: str) -> None:
    assert served_type(kind, stored) == served


@pytest.mark.parametrize(
    ("content_type", "how"),
    [
        ("text/plain; charset=utf-8", "inline"), ("application/json", "inline"), ("text/x-diff", "inline"),
        ("image/png", "inline"), ("text/html", "attachment"), ("text/html; charset=utf-8", "attachment"),
        ("image/svg+xml", "attachment"), ("application/xhtml+xml", "attachment"), ("text/xml", "attachment"),
        ("application/pdf", "attachment"), ("text/javascript", "attachment"),
        ("application/octet-stream", "attachment"),
    ],
)  # fmt: skip
def test_what_may_run_is_a_download(content_type: str, how: str) -> None:
    assert disposition("a", content_type).startswith(f"{how}; filename=")


def test_a_name_is_one_header_value() -> None:
    found = disposition('../x/y "ä"\r\n;.txt', "text/plain")
    assert found == "inline; filename=\"y ______.txt\"; filename*=UTF-8''y%20%22%C3%A4%22%0D%0A%3B.txt"
    assert disposition("", "text/plain").startswith('inline; filename="artifact"')
