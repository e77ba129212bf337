"""Replay: recordings by canonical request, and the recipe's own recording for everything else."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sisu_kodo import oc
from sisu_kodo.models import StepError
from sisu_kodo.oc.record import write_recording

REQUEST = {"goal": "grüße", "inputs": {"b": 2, "a": [1.0, 1e21, 0.1]}, "constraints": {}}


@pytest.fixture
def default(tmp_path: Path) -> Path:
    file = tmp_path / "default.json"
    file.write_text(json.dumps({"plan": {"goal": "default"}}))
    return file


def _replay(default: Path, recordings: Path | None) -> oc.Planner:
    return oc.planner("replay", schema={}, default=default, recordings=recordings)


def test_the_key_does_not_depend_on_the_order_of_keys() -> None:
    inputs = REQUEST["inputs"]
    assert isinstance(inputs, dict)
    other = {"constraints": {}, "inputs": dict(reversed(inputs.items())), "goal": "grüße"}
    assert list(other) != list(REQUEST) and oc.request_key(other) == oc.request_key(REQUEST)
    assert oc.request_key(REQUEST | {"goal": "x"}) != oc.request_key(REQUEST)


def test_the_key_is_the_hash_of_the_canonical_request() -> None:
    # printf '{"a":1,"b":[true,null,"é"]}' | sha256sum
    expected = "9488dd13ca33d3291f5a91a1833dfa164811755ffba538c2b340780f8c31a0cb"
    assert oc.request_key({"b": [True, None, "é"], "a": 1.0}) == expected


def test_a_recording_is_found_by_its_request(tmp_path: Path, default: Path) -> None:
    folder = tmp_path / "recordings"
    write_recording(folder, oc.request_key(REQUEST), REQUEST, {"goal": "recorded"})
    answer = _replay(default, folder).plan(dict(reversed(REQUEST.items())))
    assert (answer.plan, answer.source) == ({"goal": "recorded"}, "recording")


@pytest.mark.parametrize("with_folder", [True, False])
def test_a_request_never_recorded_gets_the_default(tmp_path: Path, default: Path, with_folder: bool) -> None:
    answer = _replay(default, tmp_path if with_folder else None).plan(REQUEST)
    assert (answer.plan, answer.source) == ({"goal": "default"}, "default")
    assert answer.key == oc.request_key(REQUEST)


def test_replay_opens_no_socket(default: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert _replay(default, None).plan(REQUEST).source == "default"


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_broken_recording_is_named(tmp_path: Path, default: Path, text: str) -> None:
    file = tmp_path / f"{oc.request_key(REQUEST)}.json"
    file.write_text(text)
    with pytest.raises(StepError) as caught:
        _replay(default, tmp_path).plan(REQUEST)
    assert (caught.value.code, caught.value.retryable) == ("planner_failed", False)
    assert file.name in caught.value.message


@pytest.mark.parametrize(
    ("mode", "url", "folder", "named"),
    [
        ("dream", None, None, "OC_MODE=dream"),
        ("live", None, None, "OC_BASE_URL"),
        ("record", None, "r", "OC_BASE_URL"),
        ("record", "http://127.0.0.1:1", None, "OC_RECORDINGS"),
    ],
)
def test_a_mode_that_lacks_a_setting_names_it(
    default: Path, mode: str, url: str | None, folder: str | None, named: str
) -> None:
    with pytest.raises(StepError, match=named) as caught:
        recordings = Path(folder) if folder else None
        oc.planner(mode, schema={}, default=default, recordings=recordings, base_url=url)
    assert (caught.value.code, caught.value.retryable) == ("planner_unavailable", False)


def test_a_recording_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    key = oc.request_key(REQUEST)
    file = write_recording(tmp_path, key, REQUEST, {"goal": "one"})
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write_recording(tmp_path, key, REQUEST, {"goal": object()})
    assert list(tmp_path.iterdir()) == [file] and file.read_bytes() == before
