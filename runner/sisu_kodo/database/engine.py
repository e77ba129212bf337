"""The embedded engine: one Postgres cluster under `<sisu_home>/pg`, on a unix socket, outliving its starter.

Layout:  pg/data  the cluster (fsync on)   pg/log  its log   pg/engine  a copy of the programs, where needed
As root the cluster belongs to an unprivileged user; where that user cannot enter sisu_home, `pg` is a link to
`/var/lib/sisu-kodo/<hash of sisu_home>`. Every change of state happens under a file lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from .binaries import find_bin, reachable_bin, server_major
from .errors import EngineError
from .unprivileged import Account

DATABASE = "sisu_kodo"
PORT = 5432
_SOCKET_LIMIT = (
    100  # sockaddr_un holds 107 bytes, on some systems 103; the name includes the lock file's suffix
)
_SHARED_HOMES = Path("/var/lib/sisu-kodo")
_NO_SUCH_PID = 2**31 - 2  # above every kernel's pid_max

# For two cores; durability is never traded (fsync, synchronous_commit stay on).
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum_naptime": "15s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "fsync": "on",
    "synchronous_commit": "on",
}


def _memory() -> int:
    """Bytes that this machine has, or that its container may use."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            have = min(have, int(Path(limit).read_text()))
    return have


def _sizes(memory: int, disk: int) -> dict[str, str]:
    """What grows with the machine: `memory` bytes, `disk` bytes free. Ids are hashes, so every start and
    every step touches other pages of the indexes, and after a checkpoint logs them whole: the more buffers
    and the fewer checkpoints, the better. Both cost nothing before they are used.
    """
    megabytes = memory // 2**20
    buffers = max(128, min(8192, megabytes // 4))
    return {
        "shared_buffers": f"{buffers}MB",
        "effective_cache_size": f"{max(buffers, megabytes // 2)}MB",
        "max_wal_size": f"{max(1024, min(8192, disk // 10 // 2**20))}MB",
    }


class Engine:
    """One embedded cluster. Making the object touches nothing."""

    def __init__(self, home: Path, pg_bin: Path | None = None) -> None:
        self.home = home
        self._pg_bin = pg_bin
        self.link = home / "pg"

    # -- where things are ------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The folder behind `<home>/pg`, links resolved."""
        return self.link.resolve()

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def account(self) -> Account:
        return Account.current(owner_of=self.data)

    @property
    def socket_dir(self) -> Path:
        """Beside the data, or a private folder in the temporary directory where that would be too long."""
        if len(str(self.root)) + len(f"/.s.PGSQL.{PORT}.lock") <= _SOCKET_LIMIT:
            return self.root
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"sisu-{self.account.uid}-{digest}"

    def dsn(self, database: str = DATABASE) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket_dir), safe='')}&port={PORT}"

    @property
    def bin(self) -> Path:
        """Programs that the engine's account can run."""
        return reachable_bin(find_bin(self._pg_bin), self.account, self.root / "engine")

    # -- what it does ----------------------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Whether a postmaster of this very data folder is alive."""
        return self._postmaster() is not None

    def start(self) -> bool:
        """Create the cluster if there is none, start it; False when it ran already (and may not answer yet).

        Safe to call concurrently. Raises EngineError with the log's last lines.
        """
        if self.is_running():
            return False
        with self._locked():
            if self.is_running():
                return False
            account, programs = self.account, self.bin
            self._create_cluster(account, programs)
            self._make_socket_dir(account)
            self._forget_dead_postmaster()
            self._write_settings(account)
            start = (programs / "pg_ctl", "-D", self.data, "-w", "-t", "60", "-s", "-l", self.log, "start")
            self._run(account, "start the engine", *start)
            return True

    def stop(self) -> bool:
        """Stop the engine, open transactions rolled back; False when it was not running."""
        if not self.link.exists():
            return False
        with self._locked():
            if not self.is_running():
                return False
            stop = (self.bin / "pg_ctl", "-D", self.data, "-w", "-t", "60", "-s", "-m", "fast", "stop")
            self._run(self.account, "stop the engine", *stop)
            return True

    def delete(self) -> None:
        """Stop the engine and remove the cluster, its log and its copied programs."""
        self.stop()
        if self.socket_dir != self.root:
            shutil.rmtree(self.socket_dir, ignore_errors=True)
        if self.link.is_symlink():
            shutil.rmtree(self.root, ignore_errors=True)
            self.link.unlink()
        else:
            shutil.rmtree(self.link, ignore_errors=True)

    # -- inside ----------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with suppress(FileExistsError):
            self.home.mkdir(parents=True)
            self.home.chmod(0o755)
        try:
            handle = (self.home / "engine.lock").open("w")
        except PermissionError as error:
            raise EngineError(
                f"{self.home} belongs to another user", "set SISU_HOME to a folder of your own"
            ) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not self.link.exists():
                self._choose_root()
            yield

    def _choose_root(self) -> None:
        """Make the private folder behind `pg`, at a place that the account can enter."""
        account = Account.current()
        place = self.link
        if not account.can_enter(self.home):
            _SHARED_HOMES.mkdir(parents=True, exist_ok=True)
            _SHARED_HOMES.chmod(0o755)
            place = _SHARED_HOMES / hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:12]
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(place)
        place.mkdir(exist_ok=True)
        place.chmod(0o700)
        account.own(place)

    def _create_cluster(self, account: Account, programs: Path) -> None:
        if (self.data / "PG_VERSION").exists():
            self._check_version(programs)
            return
        shutil.rmtree(self.data, ignore_errors=True)
        partial = self.root / "data.new"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        account.own(partial)
        self._run(account, "create the cluster", programs / "initdb", "-D", partial, "-U", "postgres",
                  "-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions")  # fmt: skip
        with (partial / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude = 'sisu.conf'\n")
        partial.rename(self.data)

    def _check_version(self, programs: Path) -> None:
        have, want = int((self.data / "PG_VERSION").read_text()), server_major(programs)
        if have != want:
            raise EngineError(
                f"the cluster at {self.data} is of Postgres {have}, the programs at {programs} are of {want}",
                "set SISU_PG_BIN to the programs of that version, dump and restore, or remove the cluster",
            )

    def _write_settings(self, account: Account) -> None:
        sizes = _sizes(_memory(), shutil.disk_usage(self.home).free)
        settings = {**_SETTINGS, **sizes, "unix_socket_directories": str(self.socket_dir)}
        lines = (f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())
        path = self.data / "sisu.conf"
        path.write_text("# written anew at every start\n" + "".join(lines))
        path.chmod(0o600)
        account.own(path)
        self.log.touch(mode=0o600)
        account.own(self.log)

    def _make_socket_dir(self, account: Account) -> None:
        folder = self.socket_dir
        if folder == self.root:
            return
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            account.own(folder)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
            raise EngineError(f"{folder} is not a private folder of user {account.uid}", "remove it")

    def _postmaster(self) -> int | None:
        """The live postmaster of this data folder: the process that its pid file names, working in it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, 0)
        except PermissionError:
            return None  # another user's process has got the number
        except (OSError, ValueError, IndexError):
            return None
        cwd = Path(f"/proc/{pid}/cwd")
        if not Path("/proc/self/cwd").exists():
            return pid
        try:
            return pid if cwd.resolve(strict=True) == self.data.resolve() else None
        except OSError:
            return None

    def _forget_dead_postmaster(self) -> None:
        """After a crash or in a restarted container the number in the pid file may be any other process's.

        The file stays, with a number that no process has: Postgres also reads from it whether backends of the
        dead server still hold its shared memory.
        """
        (self.socket_dir / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        pid_file = self.data / "postmaster.pid"
        if pid_file.exists():
            _, *rest = pid_file.read_text().splitlines(keepends=True)
            pid_file.write_text("".join([f"{_NO_SUCH_PID}\n", *rest]))

    def _run(self, account: Account, what: str, *argv: str | Path) -> None:
        done = account.run(*argv)
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines()
            raise EngineError(
                f"could not {what}: {words[-1] if words else 'no message'}",
                f"see {self.log}{self._log_tail()}",
            )

    def _log_tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-5:]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in lines)
