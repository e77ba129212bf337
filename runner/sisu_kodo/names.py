"""The name under which a runner registers: unique among live processes of a machine, the same after a
restart.

A runner that starts under its old name is given its old leases back at once, so a name has to outlive its
process; two runners under one name would take each other's leases, so no two live ones may share it.
Therefore: the n-th runner of a user on a host is `<host>-<user>-<n>`, n being the lowest number whose lock
file nobody holds; a name that is given is locked likewise. The kernel drops the lock with the process,
however that ends. Containers that share a host name need `--name`.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .config import ConfigError

_MOST = 1000


@contextmanager
def worker_name(given: str | None = None, folder: Path | None = None) -> Iterator[str]:
    """Hold a name for the length of the block: `given` as it is, or the lowest free one.

    `folder` holds the lock files (default: one per user in the system's temporary directory).
    Raises ConfigError when the name, or a thousand of them, are taken.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"sisu-runners-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise ConfigError(f"{folder} belongs to somebody else")
    base = f"{_word(socket.gethostname())}-{_word(_user())}"
    names = (given,) if given is not None else (f"{base}-{number}" for number in range(1, _MOST))
    for name in names:
        file = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"
        lock = os.open(folder / file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield name
            return
        finally:
            os.close(lock)
    if given is not None:
        raise ConfigError(f"a runner named {given} is alive on this machine: give another --name")
    raise ConfigError(f"all names {base}-1 to {base}-{_MOST - 1} are taken: give the runner a --name")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.") or "x"
