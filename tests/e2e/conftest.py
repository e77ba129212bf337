"""The walkthroughs' surroundings: a migrated database of their own, and the environment of the manual."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sisu_kodo import database
from sisu_kodo.client import Client


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """The folder of OC_RECORDINGS."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """SISU_HOME."""
    return tmp_path / "home"


@pytest.fixture
def operator(dsn: str, home: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of the manual, for every process that the test starts; the DSN."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("SISU_HOME", str(home))
    monkeypatch.setenv("OC_RECORDINGS", str(recordings))
    monkeypatch.setenv("OC_MODE", "replay")
    monkeypatch.setenv("SBX_MODE", "mock")
    database.register_builtin(dsn)
    return dsn


@pytest.fixture
def client(operator: str, conn: psycopg.Connection[Any]) -> Iterator[Client]:
    """The same calls from Python, for waiting; every law holds at the end."""
    client = Client(conn)
    yield client
    assert client.broken_laws() == []
