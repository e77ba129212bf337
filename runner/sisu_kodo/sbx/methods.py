"""How this machine can isolate a command: bubblewrap, or our own launcher with as much as the kernel grants.

the_method(scratch) → Method      tried once per process by running a small program, then remembered
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..models import JSON
from .launch import STUB
from .launch.command import counts_processes_per_namespace, wanted_limits
from .model import Limits

HOME = "/sandbox"
"""Where the job's folders lie inside a sandbox that has its own view of the file system."""
FOLDERS = ("work", "out", "home", "tmp")
_LAUNCH = Path(__file__).parent
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM_FILES = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "mime.types")
_USER_FILES = ("passwd", "group", "nsswitch.conf", "hosts", "ssl")
_NOBODY = 65534
_FIRST_UID, _UIDS = 60706, 478  # no account and no service manager hands these out


@dataclass(frozen=True, slots=True)
class Method:
    """One way to isolate. `own_view`: the command sees only its own folders and a read-only system.
    `namespaces`: ask the kernel for a network and processes apart.
    """

    name: str
    own_view: bool = False
    program: str | None = None
    namespaces: bool = True

    def place(self, job: Path, folder: str) -> str:
        """Path of a folder of the job as the command sees it."""
        if not self.own_view:
            return str(job / folder)
        return "/tmp" if folder == "tmp" else f"{HOME}/{folder}"

    def spec(self, job: Path, cmd: list[str], env: dict[str, str], limits: Limits) -> dict[str, JSON]:
        """What the launcher is told."""
        cwd = self.place(job, "work")
        wrapped = cmd
        if self.program is not None:
            inner = {"cmd": cmd, "env": env, "limits": limits.as_json(), "cwd": cwd}
            wrapped = [*self._bubblewrap(job), sys.executable, *_stub_arguments(), "inner", json.dumps(inner)]
            cwd = str(job)
        ours = self.program is None
        writable = {self.place(job, folder): str(job / folder) for folder in FOLDERS}
        root = {"root": str(job / "root"), "readOnly": visible(), "writable": writable}
        return {
            "cmd": wrapped,
            "env": env,
            "cwd": cwd,
            "limits": limits.as_json(),
            "limitsHere": ours,
            "namespaces": ours and self.namespaces,
            "view": root if ours and self.own_view else None,
            "user": _user() if ours else None,
            "needs": [sys.executable, sys.prefix, str(job)],
            "owned": [str(job / folder) for folder in FOLDERS],
            "stdout": str(job / "stdout"),
            "stderr": str(job / "stderr"),
        }

    def isolation(self, seen: dict[str, JSON], limits: Limits) -> dict[str, JSON]:
        """The launcher's own account of it, or what bubblewrap was asked for and did not refuse."""
        facts: dict[str, JSON] = {"provider": "local", "method": self.name}
        if self.program is None:
            return facts | seen
        names = wanted_limits(limits.as_json(), counts_processes_per_namespace())
        rlimits = {name: limits.as_json().get(name, 0) for name in names}
        own = {"network": "none", "filesystem": "own-view", "processes": "own", "uid": _NOBODY}
        return facts | own | {"rlimits": rlimits}

    def _bubblewrap(self, job: Path) -> list[str]:
        command = [str(self.program), "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
        command += ["--uid", str(_NOBODY), "--gid", str(_NOBODY), "--hostname", "sandbox"]
        for folder in FOLDERS:
            command += ["--bind", str(job / folder), self.place(job, folder)]
        for path in visible():
            if os.path.islink(path):
                command += ["--symlink", os.readlink(path), path]
            else:
                command += ["--ro-bind", path, path]
        command += ["--proc", "/proc", "--dev", "/dev"]
        return [*command, "--remount-ro", "/", "--chdir", self.place(job, "work"), "--"]


_lock = threading.Lock()
_chosen: dict[str | None, Method] = {}


def the_method(works: Callable[[Method], bool]) -> Method:
    """The strongest method for which `works` is true; the last one is taken without a question. The answer is
    kept for as long as PATH leads to the same bubblewrap.
    """
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    with _lock:
        if program not in _chosen:
            good = (each for each in candidates(program) if works(each))
            _chosen[program] = next(good, Method("subprocess"))
        return _chosen[program]


def candidates(program: str | None) -> list[Method]:
    """Methods worth trying on this system, strongest first; the plain subprocess comes after all of them."""
    found = []
    if program is not None:
        found.append(Method("bubblewrap", own_view=True, program=program))
    if sys.platform == "linux":
        found.append(Method("subprocess", own_view=True))
    return found


def launcher() -> list[str]:
    """The command line of the supervising process, up to its arguments."""
    return [sys.executable, *_stub_arguments()]


def visible() -> list[str]:
    """Host paths that a sandbox sees, read-only: the system's programs and libraries, this interpreter and
    its packages. Sorted, none inside another.
    """
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    interpreter = [sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).resolve().parent)]
    wanted = [
        *_SYSTEM,
        *(f"/etc/{name}" for name in (*_SYSTEM_FILES, *_USER_FILES)),
        *interpreter,
        *packages,
        str(_LAUNCH),
    ]
    found: list[str] = []
    for path in sorted({os.path.abspath(path) for path in wanted}):
        inside = any(path == outer or path.startswith(outer + "/") for outer in found)
        if not inside and path != "/" and os.path.lexists(path):
            found.append(path)
    return found


def _stub_arguments() -> list[str]:
    return ["-I", "-S", "-c", STUB, str(_LAUNCH)]


def _user() -> list[int] | None:
    """As root: the user and group ids that the command gets."""
    if os.geteuid() != 0:
        return None
    number = _FIRST_UID + threading.get_native_id() % _UIDS
    return [number, number]
