"""Postgres refuses root: as root its programs run through an exec stub under an existing unprivileged user.

No user is made and no folder that is not ours changes its mode. As an ordinary user all this does nothing.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import EngineError

# initdb needs a passwd entry for its user; each of these exists on the systems that have no other.
_CANDIDATES = ("postgres", "daemon", "nobody")
# The stub starts as root, so that Python itself may lie in a private home; exec keeps the process id.
_STUB = "import os,sys;g,u=int(sys.argv[1]),int(sys.argv[2]);os.setgroups([]);os.setgid(g);os.setuid(u);" \
        "os.umask(0o077);os.chdir('/');os.execv(sys.argv[3],sys.argv[3:])"  # fmt: skip


@dataclass(frozen=True)
class Account:
    """The user that owns the engine's files and processes. `switch` is true where we have to become it."""

    uid: int
    gid: int
    switch: bool

    @classmethod
    def current(cls, owner_of: Path | None = None) -> Account:
        """Ourselves, or as root an unprivileged user: the owner of `owner_of` where that is not root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switch=False)
        if owner_of is not None and owner_of.exists() and (found := owner_of.stat()).st_uid != 0:
            return cls(found.st_uid, found.st_gid, switch=True)
        for name in _CANDIDATES:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid, switch=True)
        raise EngineError(
            f"Postgres does not run as root and none of the users {', '.join(_CANDIDATES)} exists",
            "run as an ordinary user, or set DATABASE_URL",
        )

    def command(self, *argv: str | Path) -> list[str]:
        """The command line that runs `argv` (absolute program first) as this account."""
        plain = [str(word) for word in argv]
        if not self.switch:
            return plain
        return [sys.executable, "-I", "-S", "-c", _STUB, str(self.gid), str(self.uid), *plain]

    def run(self, *argv: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run to the end and capture the output; does not raise on a failing exit code."""
        return subprocess.run(
            self.command(*argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def own(self, path: Path) -> None:
        """Give the tree at `path` to this account (as root only)."""
        if not self.switch:
            return
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for inside in path.rglob("*"):
            os.chown(inside, self.uid, self.gid, follow_symlinks=False)

    def can_enter(self, path: Path) -> bool:
        """Whether this account may traverse every existing folder from the root down to `path`."""
        if not self.switch:
            return True
        path = path.resolve()
        return all(self._may_traverse(part) for part in (path, *path.parents) if part.exists())

    def _may_traverse(self, folder: Path) -> bool:
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)
