"""Runners and callers through a real PgBouncer in transaction mode: a statement may meet another session."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sisu_kodo import database
from sisu_kodo.client import Client, connected
from sisu_kodo.database.unprivileged import Account
from tests.integration.runner_support import put, runner_process, scalar, start, start_many, wait_until

PROGRAM = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
RUNS = 200

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is missing: apt-get install pgbouncer")


def _version() -> tuple[int, ...]:
    assert PROGRAM is not None
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(map(int, found.groups()))


class Pooler:
    """A PgBouncer in transaction mode before the database of `dsn`; `dsn` leads through it."""

    def __init__(self, direct: str, place: Path, prepared: int | None) -> None:
        facts = conninfo_to_dict(direct)
        user, name = str(facts.get("user", "postgres")), str(facts["dbname"])
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self.dsn = make_conninfo(direct, host="127.0.0.1", port=self._port)
        self._account = Account.current()
        self._settings = place / "pgbouncer.ini"
        lines = [
            "[databases]",
            f"{name} = host={facts['host']} port={facts['port']} dbname={name}",
            "[pgbouncer]",
            f"listen_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =",
            f"auth_type = trust\nauth_file = {place / 'users'}",
            "pool_mode = transaction\ndefault_pool_size = 8\nmax_client_conn = 100",
        ]
        if prepared is not None:
            lines.append(f"max_prepared_statements = {prepared}")
        self._settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (place / "users").write_text(f'"{user}" ""\n', encoding="utf-8")
        self._account.own(place)
        self._log = (place / "log").open("wb")
        self.start()

    def start(self) -> None:
        assert PROGRAM is not None
        command = self._account.command(PROGRAM, self._settings)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "PgBouncer did not start"
                time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()


@pytest.fixture(params=["default", "0"])
def pooler(request: pytest.FixtureRequest, dsn: str, tmp_path: Path) -> Iterator[Pooler]:
    prepared: int | None = None
    if request.param == "0":
        if _version() < (1, 21, 0):
            pytest.skip("it has no max_prepared_statements yet: its default is the same as 0")
        prepared = 0
    reachable = tmp_path.parents[1]
    for folder in (tmp_path, tmp_path.parent, reachable):
        folder.chmod(folder.stat().st_mode | 0o011)
    place = tmp_path / "pooler"
    place.mkdir()
    one = Pooler(dsn, place, prepared)
    yield one
    one.close()


def _completed(conn: psycopg.Connection[Any]) -> int:
    return int(scalar(conn, "select count(*) from app.runs where status = 'SUCCESS'"))


def _steps(conn: psycopg.Connection[Any]) -> list[tuple[int, int]]:
    """How many attempts of how many steps there are, by the number of successful ones."""
    statement = """
        select good, count(*) from (
          select count(*) filter (where status = 'SUCCESS') as good
          from app.run_steps group by run_id, idx) as s
        group by good"""
    return [(int(good), int(count)) for good, count in conn.execute(statement.encode()).fetchall()]


@pytest.mark.parametrize("listen", [True, False], ids=["told", "polling"])
def test_runs_complete_through_it(
    pooler: Pooler, dsn: str, conn: psycopg.Connection[Any], listen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SISU_LISTEN_URL", dsn)
    more = [] if listen else ["--no-listen"]
    with connected(pooler.dsn) as client, runner_process(pooler.dsn, "--pumps", "3", *more):
        put(client, *[{"handler": "test/noop"}] * 3)
        start_many(client, RUNS - 20)
        for number in range(20):  # well beyond the fifth, from which psycopg would prepare
            start(client, f"alone {number}")
        wait_until(lambda: _completed(conn) == RUNS, f"{RUNS} runs done")
    listeners = "select count(*) from pg_stat_activity where application_name like 'sisu runner%%wakeup'"
    wait_until(lambda: scalar(conn, listeners) == 0, "the runner's end")
    assert _steps(conn) == [(1, 3 * RUNS)]
    assert Client(conn).broken_laws() == []


def test_its_death_loses_nothing(pooler: Pooler, dsn: str, conn: psycopg.Connection[Any]) -> None:
    with closing(database.connect(dsn)) as direct:
        client = Client(direct)
        put(client, *[{"handler": "test/slow"}] * 3)
        start_many(client, RUNS)
    with runner_process(pooler.dsn, "--pumps", "3", "--no-listen") as runner:
        wait_until(lambda: _completed(conn) > 5, "the first runs done")
        pooler.process.send_signal(signal.SIGKILL)
        pooler.process.wait()
        assert _completed(conn) < RUNS, "it died in the middle"
        time.sleep(0.3)
        pooler.start()
        wait_until(lambda: _completed(conn) == RUNS, f"{RUNS} runs done", 60)
        assert runner.poll() is None
    assert _steps(conn) == [(1, 3 * RUNS)]
    assert Client(conn).broken_laws() == []
