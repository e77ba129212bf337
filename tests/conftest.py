"""One server for the whole session, one database with everything installed, a clone of it for every test.

The server is a throw-away one of the embedded engine, or the one that TEST_DATABASE_URL names (as superuser).
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import testing.postgresql
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from sisu_kodo import database
from sisu_kodo.config import Config, load_config
from sisu_kodo.database.binaries import reachable_bin
from sisu_kodo.database.unprivileged import Account

ROOT = Path(__file__).resolve().parents[1]
_ARGS = (
    "-h 127.0.0.1 -F -c logging_collector=off -c max_connections=200"
    " -c shared_buffers=128MB -c jit=off -c timezone=UTC"
)


class _Postgresql(testing.postgresql.Postgresql):
    """testing.postgresql, as root under the engine's unprivileged account."""

    account: Account

    def initialize_database(self) -> None:
        self.account = Account.current()
        base = Path(self.base_dir)
        self.account.own(base)
        if not (base / "data" / "PG_VERSION").exists():
            made = self.account.run(self.initdb, "-D", base / "data", "--lc-messages=C",
                                    *self.settings["initdb_args"].split())  # fmt: skip
            assert made.returncode == 0, made.stderr

    def get_server_commandline(self) -> list[str]:
        return self.account.command(*super().get_server_commandline())


@dataclass(frozen=True)
class Server:
    """Makes and drops databases on the session's server; `bin` has the client programs."""

    admin_dsn: str
    bin: Path
    prefix: str
    _numbers: Iterator[int]

    def dsn(self, name: str) -> str:
        return make_conninfo(self.admin_dsn, dbname=name)

    def create(self, template: str | None = None) -> str:
        """A new database, empty or a clone; returns its name."""
        name = f"{self.prefix}_{next(self._numbers)}"
        statement = sql.SQL("create database {} template {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        self._run(statement)
        return name

    def drop(self, name: str) -> None:
        self._run(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with closing(psycopg.connect(self.admin_dsn, autocommit=True)) as conn:
            conn.execute(statement)

    def psql(self, name: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run psql, unaligned and quiet, in a database; stops at the first error."""
        command = [
            str(self.bin / "psql"),
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            self.dsn(name),
        ]
        return subprocess.run([*command, *map(str, args)], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The session's Postgres server."""
    prefix, numbers = f"sisu_test_{os.getpid()}", itertools.count()
    given = os.environ.get("TEST_DATABASE_URL")
    bin_override = os.environ.get("SISU_PG_BIN")
    programs = database.find_bin(Path(bin_override) if bin_override else None)
    if given:
        yield Server(given, programs, prefix, numbers)
        return
    place = Path(tempfile.mkdtemp(prefix="sisu-test-"))
    place.chmod(0o711)
    running = None
    try:
        reachable = reachable_bin(programs, Account.current(), place / "engine")
        running = _Postgresql(
            initdb=str(reachable / "initdb"), postgres=str(reachable / "postgres"), postgres_args=_ARGS
        )
        yield Server(running.url(), programs, prefix, numbers)
    finally:
        if running is not None:
            running.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """Name of the database that the real migrate() prepared; nobody connects to it again."""
    name = server.create()
    database.migrate(server.dsn(name))
    with closing(database.connect(server.dsn(name))) as conn:
        conn.execute("select app.put_setting('test_database', 'true')")
    yield name
    server.drop(name)


@pytest.fixture
def dsn(server: Server, template: str) -> Iterator[str]:
    """DSN of a fresh, fully installed database of the test's own."""
    name = server.create(template)
    yield server.dsn(name)
    server.drop(name)


@pytest.fixture
def empty_dsn(server: Server) -> Iterator[str]:
    """DSN of a fresh database with nothing in it."""
    name = server.create()
    yield server.dsn(name)
    server.drop(name)


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[..., Connection[Any]]]:
    """Opens connections to the test's database, autocommit unless told otherwise; closes them at the end."""
    opened: list[Connection[Any]] = []

    def open_one(**options: Any) -> Connection[Any]:
        opened.append(database.connect(dsn, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def conn(connect: Callable[..., Connection[Any]]) -> Connection[Any]:
    """One autocommit connection to the test's database."""
    return connect()


@pytest.fixture
def config(dsn: str, tmp_path: Path) -> Config:
    """Settings that point at the test's database and at a home of the test's own."""
    return load_config(database_url=dsn, sisu_home=tmp_path / ".sisu")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's environment does not reach the code under test, except for where the programs are."""
    for field in Config.model_fields.values():
        if (variable := str(field.validation_alias)) != "SISU_PG_BIN":
            monkeypatch.delenv(variable, raising=False)
