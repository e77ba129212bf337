"""Artifacts with their hashes, and the index that opens a step's list of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import rfc8785

from .models import JSON, Artifact

INDEX = "artifact_index"


def canonical(value: JSON) -> bytes:
    """RFC 8785 bytes of a JSON value, the same as `app.canonical_json`. Raises ValueError for what has none
    (NaN, integers beyond 2^53).
    """
    return rfc8785.dumps(value)


def sha256(data: bytes) -> str:
    """Hex sha256."""
    return hashlib.sha256(data).hexdigest()


def content(artifact: Artifact) -> bytes:
    """The bytes that the engine hashes: the body, or the canonical JSON of what is inline."""
    return artifact.body if artifact.body is not None else canonical(artifact.inline)


def as_json(artifact: Artifact) -> dict[str, JSON]:
    """The artifact as `app.work` and `app.checkpoint` take it."""
    facts = {"kind": artifact.kind, "name": artifact.name, "mediaType": artifact.media_type}
    if artifact.body is None:
        return facts | {"inline": artifact.inline}
    return facts | {"body": base64.b64encode(artifact.body).decode("ascii")}


def text(kind: str, name: str, value: str | bytes, media_type: str = "text/plain; charset=utf-8") -> Artifact:
    """A text artifact; str is stored as UTF-8."""
    body = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return Artifact(kind, name, body=body, media_type=media_type)


def with_index(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """The artifacts behind an `artifact_index` at position 0, which lists idx, kind, name, sha256 and size
    (bytes) of each. None at all stay none: the engine then leaves its `none` artifact.
    """
    found = list(artifacts)
    if not found:
        return []
    entries = []
    for idx, artifact in enumerate(found, start=1):
        data = content(artifact)
        facts = {"idx": idx, "kind": artifact.kind, "name": artifact.name}
        entries.append(facts | {"sha256": sha256(data), "size": len(data)})
    return [Artifact(INDEX, "index.json", inline={"artifacts": entries}), *found]
