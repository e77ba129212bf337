"""The embedded engine: starts once however many ask, survives who started it, comes back after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from sisu_kodo import database
from sisu_kodo.config import Config, load_config
from sisu_kodo.database.engine import Engine
from sisu_kodo.database.unprivileged import Account


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for an engine, in a folder that everybody may enter; engine and data are gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="sisu-engine-"))
    place.chmod(0o755)
    yield place / ".sisu"
    Engine(place / ".sisu").delete()
    shutil.rmtree(place)


@pytest.fixture
def settings(home: Path) -> Config:
    return load_config(sisu_home=home)


def postmaster(config: Config) -> int:
    return int((database.Engine(config.sisu_home).data / "postmaster.pid").read_text().split()[0])


def answer(dsn: str, query: str) -> object:
    with closing(database.connect(dsn)) as conn:
        row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_starts_is_found_running_and_stops(settings: Config) -> None:
    assert database.status(settings)["running"] is False
    dsn = database.ensure_up(settings)
    first = postmaster(settings)
    assert database.ensure_up(settings) == dsn
    assert postmaster(settings) == first
    assert answer(dsn, "select current_database()") == "sisu_kodo"
    found = database.status(settings)
    assert (found["kind"], found["running"], found["revision"], found["codeCurrent"]) == (
        "embedded",
        True,
        None,
        False,
    )
    assert database.down(settings)
    assert not database.down(settings)
    assert database.status(settings)["running"] is False


def test_it_is_durable_and_listens_to_nobody_else(settings: Config) -> None:
    dsn = database.ensure_up(settings)
    names = ["fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "unix_socket_permissions"]
    assert [answer(dsn, f"show {name}") for name in names] == ["on", "on", "on", "", "0700"]
    mode = Engine(settings.sisu_home).root.stat().st_mode & 0o777
    assert mode == 0o700


def test_it_never_runs_as_root(settings: Config) -> None:
    database.ensure_up(settings)
    owner = Path(f"/proc/{postmaster(settings)}").stat().st_uid
    assert owner != 0
    assert owner == Account.current().uid


def test_it_survives_the_process_that_started_it(settings: Config) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from sisu_kodo import database; from sisu_kodo.config import load_config\n"
        "print(database.ensure_up(load_config(sisu_home=Path(sys.argv[1]))))"
    )
    # captured output: a server that kept the pipe open would hold us here
    done = subprocess.run(
        [sys.executable, "-c", code, str(settings.sisu_home)],
        capture_output=True, text=True, check=True, timeout=60, start_new_session=True,
    )  # fmt: skip
    assert answer(done.stdout.strip(), "select 1") == 1
    assert os.getsid(postmaster(settings)) != os.getsid(0)


def test_four_at_once_start_one_server(settings: Config) -> None:
    with ThreadPoolExecutor(4) as pool:
        dsns = set(pool.map(lambda _: database.ensure_up(settings), range(4)))
    assert len(dsns) == 1
    assert answer(dsns.pop(), "select 1") == 1


def test_it_comes_back_after_a_kill(settings: Config) -> None:
    dsn = database.ensure_up(settings)
    with closing(database.connect(dsn)) as conn:
        conn.execute("create table kept as select 42 as n")
    pid = postmaster(settings)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Engine(settings.sisu_home).is_running())
    wait_until(lambda: not _has_children(settings))
    assert answer(database.ensure_up(settings), "select n from kept") == 42
    assert postmaster(settings) != pid


def _has_children(config: Config) -> bool:
    """Whether a process still works in the data folder: backends soon notice the death of their server."""
    data = Engine(config.sisu_home).data
    for process in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if process.resolve() == data:
                return True
        except OSError:
            continue
    return False


def test_a_pid_file_that_names_a_foreign_process_does_not_stop_it(settings: Config) -> None:
    database.ensure_up(settings)
    engine = Engine(settings.sisu_home)
    held = (engine.data / "postmaster.pid").read_text()
    database.down(settings)
    sleeper = subprocess.Popen(engine.account.command("/bin/sleep", "60"))
    try:
        lines = held.splitlines(keepends=True)
        (engine.data / "postmaster.pid").write_text("".join([f"{sleeper.pid}\n", *lines[1:]]))
        engine.account.own(engine.data / "postmaster.pid")
        assert not engine.is_running()
        assert answer(database.ensure_up(settings), "select 1") == 1
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_long_path_gets_a_short_socket(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60) / ".sisu"
    config = load_config(sisu_home=deep)
    engine = Engine(deep)
    try:
        dsn = database.ensure_up(config)
        assert answer(dsn, "select 1") == 1
        assert engine.socket_dir != engine.root
        assert engine.socket_dir.stat().st_mode & 0o777 == 0o700
    finally:
        engine.delete()
    assert not engine.socket_dir.exists()


def test_a_home_with_a_space_and_a_quote_works(home: Path) -> None:
    odd = home / "it's a home"
    config = load_config(sisu_home=odd)
    try:
        assert answer(database.ensure_up(config), "select 1") == 1
        assert database.psql(config, ["-X", "-o", "/dev/null", "-c", "select 1"]) == 0
    finally:
        Engine(odd).delete()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has homes that the engine's account cannot enter")
def test_a_private_home_of_root_is_left_private(home: Path) -> None:
    home.parent.chmod(0o700)
    config = load_config(sisu_home=home)
    assert answer(database.ensure_up(config), "select 1") == 1
    place = Engine(home).root
    assert not place.is_relative_to(home)
    assert home.parent.stat().st_mode & 0o777 == 0o700
    database.delete(config)
    assert not place.exists()


def test_a_broken_setting_is_reported_with_the_log(settings: Config) -> None:
    database.ensure_up(settings)
    database.down(settings)
    engine = Engine(settings.sisu_home)
    with (engine.data / "postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(database.EngineError, match="could not start the engine") as caught:
        database.ensure_up(settings)
    assert "no_such_setting" in caught.value.hint


def test_missing_programs_are_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(database.EngineError, match="holds no Postgres programs"):
        database.ensure_up(load_config(sisu_home=home, pg_bin=tmp_path))
