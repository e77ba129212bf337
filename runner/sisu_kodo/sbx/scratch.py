"""Scratch folders that do not outlive their process: one that a killed runner left is swept by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "job-"
_LOCK = "lock"


@contextlib.contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A new folder under `parent`, locked while in use, removed at the end. Raises OSError."""
    parent.mkdir(parents=True, exist_ok=True)
    guard = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)  # a folder is never seen without its lock
        _sweep(parent)
        place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
        place.chmod(0o711)
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(guard)
    try:
        yield place
    finally:
        remove(place)
        os.close(lock)


def remove(place: Path) -> None:
    """Remove a tree, folders without permissions included; what stays is for the next sweep."""
    place.chmod(0o700)
    for outer, names, _ in os.walk(place):
        for name in names:
            inner = Path(outer) / name
            if not inner.is_symlink():
                with contextlib.suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for place in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(place / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(place)
            finally:
                os.close(lock)
