"""State is migrated, code is replayed: brings a database up to the one load order, db/install.sql.

Files numbered below 20 are state: they change only through a revision, whose frozen SQL is written beside it.
Files from 20 on are code (functions, triggers, views, grants): all of them run again after every upgrade, and
what an earlier replay made and the files no longer hold is dropped. Chapters from 90 on only grant.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

STATE_BELOW = 20
GRANTS_FROM = 90
SCHEMAS = ["app", "dbos"]

_INCLUDE = re.compile(r"^\\ir?\s+(\S+\.sql)\s*$", re.MULTILINE)
# A changed result type, parameter name or view column cannot be replaced in place: these two classes say so.
_NOT_REPLACEABLE = (psycopg.errors.InvalidFunctionDefinition, psycopg.errors.InvalidTableDefinition)


class LoadOrderError(ValueError):
    """db/install.sql and the files beside it disagree."""


@dataclass(frozen=True)
class SqlFile:
    """One file of the load order; its number says when it loads and how it may change."""

    number: int
    path: Path

    @property
    def sql(self) -> str:
        return self.path.read_text(encoding="utf-8")


def load_order(db: Path) -> list[SqlFile]:
    """The files that install.sql names, in its order. LoadOrderError unless they ascend, none left out."""
    names = _INCLUDE.findall((db / "install.sql").read_text(encoding="utf-8"))
    files = [SqlFile(int(name.split("_")[0]), db / name) for name in names]
    numbers = [file.number for file in files]
    if numbers != sorted(numbers):
        raise LoadOrderError("db/install.sql: the numbers of the files must ascend")
    if len(set(names)) != len(names):
        raise LoadOrderError("db/install.sql names a file twice")
    if missing := [name for name in names if not (db / name).exists()]:
        raise LoadOrderError(f"db/install.sql names files that do not exist: {', '.join(missing)}")
    if forgotten := {path.name for path in db.glob("*.sql")} - {*names, "install.sql"}:
        raise LoadOrderError(f"db/install.sql does not name {', '.join(sorted(forgotten))}")
    return files


def state_files(db: Path) -> list[SqlFile]:
    return [file for file in load_order(db) if file.number < STATE_BELOW]


def code_files(db: Path) -> list[SqlFile]:
    return [file for file in load_order(db) if file.number >= STATE_BELOW]


def code_hash(db: Path) -> str:
    """Hex sha256 over the names and texts of the code files."""
    digest = hashlib.sha256()
    for file in code_files(db):
        digest.update(f"{file.path.name}\0{file.sql}\0".encode())
    return digest.hexdigest()


def run_sql(conn: Connection[Any], sql: str, name: str) -> None:
    """Run a file's statements as they stand; an error is noted with the file's name and line."""
    try:
        conn.execute(sql.encode(), prepare=False)
    except psycopg.Error as error:
        position = error.diag.statement_position
        line = f":{sql[: int(position) - 1].count(chr(10)) + 1}" if position else ""
        error.add_note(f"in {name}{line}")
        raise


_OBJECTS = """
    select 'view' as kind, c.oid::regclass::text as name, r.ctid::text as version
      from pg_class c join pg_rewrite r on r.ev_class = c.oid and r.rulename = '_RETURN'
     where c.relkind = 'v' and c.relnamespace = any (%(schemas)s::text[]::regnamespace[])
    union all
    select 'trigger', format('%%I on %%s', t.tgname, c.oid::regclass), t.ctid::text
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where not t.tgisinternal and c.relnamespace = any (%(schemas)s::text[]::regnamespace[])
    union all
    select 'routine', p.oid::regprocedure::text, p.ctid::text
      from pg_proc p
     where p.pronamespace = any (%(schemas)s::text[]::regnamespace[])
"""

# A check, default or index that needs a routine keeps it in place; the others are remade.
_PINNED = """
    select d.refobjid::regprocedure::text
      from pg_depend d
     where d.refclassid = 'pg_proc'::regclass and d.deptype = 'n'
       and d.classid not in ('pg_proc'::regclass, 'pg_rewrite'::regclass)
"""


def replay(conn: Connection[Any], db: Path) -> bool:
    """Bring the code to what the files say; False when the database has that text already.

    Runs inside the caller's transaction, which must not be autocommit. Nothing is half replayed.
    """
    digest = code_hash(db)
    if _setting(conn, "code_hash") == digest:
        return False
    try:
        with conn.transaction():
            made = _load(conn, code_files(db))
    except _NOT_REPLACEABLE:
        with conn.transaction():
            _drop(conn, _remembered(conn), keep={name for (name,) in _qualified(conn, _PINNED)})
            made = _load(conn, code_files(db))
    _drop(conn, [thing for thing in _remembered(conn) if thing not in made])
    _remember(conn, "code_objects", [list(thing) for thing in sorted(made)])
    _remember(conn, "code_hash", digest)
    return True


def _load(conn: Connection[Any], files: Sequence[SqlFile]) -> set[tuple[str, str]]:
    """Run the files; the (kind, name) of all that they created or replaced."""
    before = _objects(conn)
    after: dict[tuple[str, str], str] | None = None
    for file in files:
        if file.number >= GRANTS_FROM and after is None:
            after = _objects(conn)  # a grant writes a new version of the row, too
        run_sql(conn, file.sql, f"db/{file.path.name}")
    after = _objects(conn) if after is None else after
    return {thing for thing, row_version in after.items() if before.get(thing) != row_version}


def _objects(conn: Connection[Any]) -> dict[tuple[str, str], str]:
    found = conn.execute("select nspname from pg_namespace where nspname = any (%s)", [SCHEMAS]).fetchall()
    rows = _qualified(conn, _OBJECTS, {"schemas": [name for (name,) in found]})
    return {(kind, name): version for kind, name, version in rows}


def _qualified(conn: Connection[Any], query: str, args: dict[str, Any] | None = None) -> list[Any]:
    """Run a query whose names must come out with their schema, then put the search path back."""
    path = conn.execute("select current_setting('search_path')").fetchone()
    conn.execute("set local search_path = ''")
    rows = conn.execute(query.encode(), args).fetchall()
    conn.execute("select set_config('search_path', %s, true)", path)
    return rows


def _drop(conn: Connection[Any], things: Sequence[tuple[str, str]], keep: set[str] | None = None) -> None:
    """Drop triggers, then views, then routines: one statement a kind, as they may need one another."""
    for kind, name in things:
        if kind == "trigger":
            conn.execute(f"drop trigger if exists {name}".encode())
    for kind in ("view", "routine"):
        names = [name for have, name in things if have == kind and name not in (keep or set())]
        if names:
            conn.execute(f"drop {kind} if exists {', '.join(names)}".encode())


def _setting(conn: Connection[Any], key: str) -> Any:
    row = conn.execute("select value from app.settings where key = %s", [key]).fetchone()
    return row[0] if row else None


def _remembered(conn: Connection[Any]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name in _setting(conn, "code_objects") or []]


def _remember(conn: Connection[Any], key: str, value: Any) -> None:
    conn.execute(
        "insert into app.settings (key, value) values (%s, %s::jsonb)"
        " on conflict (key) do update set value = excluded.value",
        [key, json.dumps(value)],
    )


def run_revision(conn: Any, script: str) -> None:
    """Run the frozen SQL beside a revision's Python file, over alembic's SQLAlchemy connection."""
    path = Path(script).with_suffix(".sql")
    run_sql(
        conn.connection.driver_connection,
        path.read_text(encoding="utf-8"),
        f"migrations/versions/{path.name}",
    )
