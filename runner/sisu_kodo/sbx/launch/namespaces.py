"""What the kernel offers for isolation, through libc: namespaces, a file system view, privileges.

Everything here is tried, nothing is taken for granted: a function returns whether it worked, or raises
OSError where half a view would be worse than none.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LINUX = sys.platform == "linux"

_NEWNS, _NEWUTS, _NEWIPC = 0x20000, 0x4000000, 0x8000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_KERNEL = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 1, 24, 28
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SECURE_NOROOT_LOCKED = 0x3
_LAST_CAPABILITY = 63
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, value: int = 0) -> bool:
    return LINUX and _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0


def die_with_parent() -> bool:
    """SIGKILL for this process when its parent dies. A change of user id takes it back."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> bool:
    """Orphaned descendants become our children, so that they can be found and killed."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def lock_privileges() -> None:
    """No way up: no set-uid programs, and a root that stays root has no capability after the next exec."""
    if os.geteuid() == 0:
        for capability in range(_LAST_CAPABILITY + 1):
            _prctl(_PR_CAPBSET_DROP, capability)
        _prctl(_PR_SET_SECUREBITS, _SECURE_NOROOT_LOCKED)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def enter() -> str:
    """Leave the host's network, processes, IPC, host name and mount table.

    Returns "none" (not possible here), "root" (as real root: user ids can still be changed) or "user" (inside
    a user namespace that maps only our own id). The process namespace begins with the next fork.
    """
    if not LINUX:
        return "none"
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _libc.unshare(_KERNEL) == 0:
        kind = "root"
    elif _libc.unshare(_NEWUSER | _KERNEL) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        kind = "user"
    else:
        return "none"
    with contextlib.suppress(OSError):
        _loopback_up()
    with contextlib.suppress(OSError):
        socket.sethostname("sandbox")
    return kind


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def own_view(root: str, read_only: Sequence[str], writable: Mapping[str, str]) -> None:
    """Make `root` (an empty folder) the root directory: a read-only tree that holds just `read_only` (host
    paths, at the same place), `writable` (inside path → host path), /proc and a few devices.

    Needs `enter()` and to be the first process of its namespace. Raises OSError.
    """
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"no system call number of pivot_root for {platform.machine()}")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=4m,mode=755")
    for inside, outside in writable.items():
        os.makedirs(root + inside, exist_ok=True)
        _mount(outside, root + inside, None, _MS_BIND | _MS_REC)
        _attributes(root + inside, _ATTR_NOSUID | _ATTR_NODEV)
    for path in read_only:  # after the folders, so that an interpreter below /tmp shows
        _bind_read_only(path, root + path)
    os.mkdir(f"{root}/dev")
    for name in _DEVICES:
        Path(f"{root}/dev/{name}").touch()
        _mount(f"/dev/{name}", f"{root}/dev/{name}", None, _MS_BIND)
    os.mkdir(f"{root}/proc")
    _mount("proc", f"{root}/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _attributes(root, _ATTR_RDONLY, recursive=False)
    os.chdir(root)
    _check(_libc.syscall(number, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/")


def _bind_read_only(path: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        Path(target).touch()
    _mount(path, target, None, _MS_BIND | _MS_REC)
    _attributes(target, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _check(result, f"mount on {target}")


def _attributes(target: str, attributes: int, recursive: bool = True) -> None:
    request = ctypes.create_string_buffer(struct.pack("4Q", attributes, 0, 0, 0), 32)
    flags = _AT_RECURSIVE if recursive else 0
    size = ctypes.c_size_t(len(request))
    result = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, request, size)
    _check(result, f"mount_setattr on {target}")
