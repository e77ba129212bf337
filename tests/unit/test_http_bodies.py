"""Strict JSON: what could not be stored, or would be read in two ways, is refused with its place."""

from __future__ import annotations

import pytest

from sisu_kodo.errors import BadRequest
from sisu_kodo.http.bodies import DEEPEST, as_object


def faults(raw: bytes) -> list[tuple[str, str]]:
    with pytest.raises(BadRequest) as caught:
        as_object(raw)
    return [(detail["path"], detail["message"]) for detail in caught.value.details]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        ' {"a": [1.5, -0, 1e308, 2e-308, 12345678901234567890], "b": "\\ud83d\\ude00 \\\\u0000"}\n',
        '{"a": "' + "\\u00e9" * 100 + '"}',
        '{"a": ' + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "}",
        '{"a": [' + ",".join(["[[]]"] * 500) + "]}",
    ],
)
def test_what_can_be_stored_passes_as_it_is(text: str) -> None:
    assert as_object(text.encode()) == text


@pytest.mark.parametrize("raw", [b"", b"  \r\n\t", b"{}"])
def test_an_empty_body_is_an_empty_object(raw: bytes) -> None:
    assert as_object(raw).strip() == "{}"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "is not JSON: "),
        (b"{a:1}", "is not JSON: "),
        (b'{"a": 1} x', "is not JSON: Extra data"),
        (b'{"a": NaN}', "is not JSON: NaN"),
        (b'{"a": -Infinity}', "is not JSON: -Infinity"),
        (b'{"a": 01}', "is not JSON: "),
        (b'{"a": "x\x00y"}', "is not JSON: Invalid control character"),
        (b'{"a": "\xff"}', "is not UTF-8 at byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "is not UTF-8 at byte 7"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 at byte 0"),
        (b'\xef\xbb\xbf{"a": 1}', "is not JSON: "),
        (b"goal=demo&inputs=1", "is not JSON: "),
    ],
)
def test_what_is_not_json_is_refused(raw: bytes, message: str) -> None:
    ((path, told),) = faults(raw)
    assert path == ""
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        (b"[]", [""]),
        (b'"text"', [""]),
        (b"null", [""]),
        (b'{"a": 1, "a": 2}', ["a"]),
        (b'{"a": {"b": 1, "c": 2, "b": 3}, "a": 2}', ["b", "a"]),
        (b'{"a": "x\\u0000"}', ["a"]),
        (b'{"a": {"b": ["ok", "\\u0000"]}}', ["a.b[1]"]),
        (b'{"a\\u0000": 1}', [""]),
        (b'{"a": "\\ud800"}', ["a"]),
        (b'{"a": "\\udc00\\ud800"}', ["a"]),
        (b'{"a": 1e309}', [""]),
        (b'{"a": -1e400}', [""]),
        (b'{"a": 1e-999999}', [""]),
        (b'{"a": 0e99999999}', [""]),
        (b'{"a": ' + b"9" * 500 + b"}", [""]),
        (b'{"a": 0.' + b"1" * 20000 + b"}", [""]),
        (b'{"a": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", [""]),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", [""]),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, [""]),
    ],
)
def test_what_cannot_be_stored_is_refused(raw: bytes, paths: list[str]) -> None:
    assert [path for path, _ in faults(raw)] == paths


def test_every_fault_is_listed() -> None:
    found = faults(b'{"a": 1, "a": 2, "b": "\\u0000", "c": "\\udfff"}')
    assert sorted(path for path, _ in found) == ["a", "b", "c"]
