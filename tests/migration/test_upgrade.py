"""Upgrading and installing afresh give the same schema, and a replay leaves nothing stale."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util import CommandError
from psycopg import Connection

from sisu_kodo import database
from sisu_kodo.database.paths import migrations_dir, replay_module, sql_dir
from sisu_kodo.database.pgmq import ensure_pgmq
from tests.conftest import ROOT, Server

replaying = replay_module()


def dump(server: Server, dsn: str) -> str:
    """Our schemas as pg_dump writes them, without what differs by nature: alembic's table, random tokens."""
    schemas = ["-n", "app", "-n", "dbos", "-n", "pgmq"]
    command_line = [str(server.bin / "pg_dump"), "--schema-only", "--no-owner", *schemas]
    done = subprocess.run(
        [*command_line, "-T", "app.alembic_version", "-d", dsn], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def a_copy_of_db(tmp_path: Path) -> Path:
    """db/ in a folder of the test's own, to be changed."""
    return Path(shutil.copytree(sql_dir(), tmp_path / "db"))


def replay(conn: Connection[Any], db: Path) -> bool:
    with conn.transaction():
        return bool(replaying.replay(conn, db))


def routines(conn: Connection[Any], pattern: str) -> list[str]:
    found = conn.execute(
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace = 'app'::regnamespace and proname like %s order by 1",
        [pattern],
    )
    return [name for (name,) in found.fetchall()]


def test_upgrading_and_installing_give_the_same(server: Server, dsn: str, empty_dsn: str) -> None:
    with closing(database.connect(empty_dsn, autocommit=False)) as conn:
        ensure_pgmq(conn)
        conn.commit()
    done = subprocess.run(
        [str(server.bin / "psql"), "-X", "-q", "-d", empty_dsn, "-f", str(ROOT / "db" / "install.sql")],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert dump(server, empty_dsn) == dump(server, dsn)


def test_the_second_revision_moves_gates_to_rows_of_their_own(
    server: Server, dsn: str, empty_dsn: str
) -> None:
    """Recipes and open gates of a database at 0001 mean the same afterwards."""
    with closing(database.connect(empty_dsn, autocommit=False)) as conn:
        alembic = AlembicConfig(attributes={"connection": conn})
        alembic.set_main_option("script_location", str(migrations_dir()))
        command.upgrade(alembic, "0001")
    with closing(database.connect(empty_dsn)) as conn:
        conn.execute(
            "insert into app.recipes (name, version, status, body, body_sha256, queue_name, activated_at)"
            " values ('r', 1, 'active', '{}', '', 'intentQ', now())"
        )
        conn.execute(
            "insert into app.recipe_steps"
            " (recipe_id, idx, step_id, handler, queue_name, gate_key, gate_kind, gate_ttl_ms) values"
            " (1, 0, 'A', 'h', 'intentQ', null, null, null),"
            " (1, 1, 'B', 'h', 'intentQ', 'g', 'approval', 5)"
        )
    database.migrate(empty_dsn)
    with closing(database.connect(empty_dsn)) as conn:
        steps = conn.execute("select step_id, needs, is_gated, fan_join from app.recipe_steps order by idx")
        assert steps.fetchall() == [("A", [], False, None), ("B", [0], True, None)]
        gates = conn.execute(
            "select idx, gate_key, position, kind, ttl_ms, on_expiry, quorum from app.recipe_gates"
        )
        assert gates.fetchall() == [(1, "g", 0, "approval", 5, "fail", 1)]
    assert dump(server, empty_dsn) == dump(server, dsn)


_A_HELD_LEASE = """
insert into app.recipes (name, version, status, body, body_sha256, queue_name, activated_at)
values ('r', 1, 'active', '{}', '', 'intentQ', now());
insert into app.intents (intent_id, body) values ('ih_' || repeat('0', 64), '{}');
insert into app.runs (run_id, intent_id, recipe_id, status, queue_name, partition_key, app_version, trace_id,
  oc_mode, sbx_mode, created_at, started_at, updated_at)
select intent_id, intent_id, 1, 'PENDING', 'intentQ', 'acme', '1', '', '', '', now(), now(), now()
from app.intents;
select pgmq.create('intentQ');
insert into app.run_steps (run_id, idx, attempt, step_id, status, queue_name, app_version, partition_key,
  priority, worker, msg_id, read_ct, enqueued_at, started_at)
select run_id, 0, 1, 'A', 'PENDING', 'intentQ', '1', 'acme', 1, 'w',
  pgmq.send('intentQ', jsonb_build_object('runId', run_id, 'taskKey', ''), 60), 0, now(), now()
from app.runs
"""


def test_the_sixth_revision_counts_leases_that_are_held(server: Server, dsn: str, empty_dsn: str) -> None:
    """A message from before says of which partition and worker it is, so that limits count it."""
    with closing(database.connect(empty_dsn, autocommit=False)) as conn:
        alembic = AlembicConfig(attributes={"connection": conn})
        alembic.set_main_option("script_location", str(migrations_dir()))
        command.upgrade(alembic, "0005")
    with closing(database.connect(empty_dsn)) as conn:
        conn.execute(_A_HELD_LEASE)
    database.migrate(empty_dsn)
    with closing(database.connect(empty_dsn)) as conn:
        leases = conn.execute("select partition_key, worker from app.leases()").fetchall()
        assert leases == [("acme", "w")]
        assert conn.execute("select running from app.v_ops_queue_fairness").fetchall() == [(1,)]
    assert dump(server, empty_dsn) == dump(server, dsn)


def test_migrating_again_changes_nothing(server: Server, dsn: str) -> None:
    before = dump(server, dsn)
    database.migrate(dsn)
    assert dump(server, dsn) == before


def test_concurrent_migrations_wait_for_one_another(server: Server, dsn: str, empty_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        # Processes, since alembic keeps its context in a module.
        commands = [[str(ROOT / "tests" / "migration" / "migrate_once.py"), empty_dsn]] * 4
        done = list(pool.map(_python, commands))
    assert [one.returncode for one in done] == [0] * 4, "".join(one.stderr for one in done)
    assert dump(server, empty_dsn) == dump(server, dsn)


def _python(args: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False)


def test_downgrading_refuses_and_says_what_to_do(dsn: str) -> None:
    with closing(database.connect(dsn, autocommit=False)) as conn:
        alembic = AlembicConfig(attributes={"connection": conn})
        alembic.set_main_option("script_location", str(migrations_dir()))
        with pytest.raises(CommandError, match="sisu db reset"):
            command.downgrade(alembic, "base")
    database.migrate(dsn)


def test_what_the_files_no_longer_hold_is_dropped(conn: Connection[Any], tmp_path: Path) -> None:
    db = a_copy_of_db(tmp_path)
    errors, before = db / "20_errors.sql", (db / "20_errors.sql").read_text(encoding="utf-8")
    errors.write_text(
        before
        + "create function app.stale_f(n int) returns int language sql as 'select n';\n"
        + "create function app.stale_t() returns trigger language plpgsql as 'begin return new; end';\n"
        + "create trigger stale before update on app.settings for each row execute function app.stale_t();\n"
        + "create view app.v_stale as select app.stale_f(1) as x;\n",
        encoding="utf-8",
    )
    assert replay(conn, db)
    assert routines(conn, "stale%") == ["app.stale_f(integer)", "app.stale_t()"]
    errors.write_text(before, encoding="utf-8")
    assert replay(conn, db)
    assert routines(conn, "stale%") == []
    assert conn.execute("select to_regclass('app.v_stale')").fetchone() == (None,)
    assert not replay(conn, db), "the same text again is a no-op"


def test_a_changed_signature_or_result_replaces_the_old_function(
    conn: Connection[Any], tmp_path: Path
) -> None:
    db = a_copy_of_db(tmp_path)
    errors, before = db / "20_errors.sql", (db / "20_errors.sql").read_text(encoding="utf-8")
    for header in (
        "f_new(n int) returns int",
        "f_new(n int, m int default 1) returns int",
        "f_new(x int) returns text",
    ):
        body = f"select null::{header.split()[-1]}"
        made = f"create or replace function app.{header} language sql as '{body}';\n"
        errors.write_text(f"{before}\n{made}", encoding="utf-8")
        assert replay(conn, db)
        assert len(routines(conn, "f\\_new")) == 1


def test_what_others_made_in_the_schema_stays(conn: Connection[Any], tmp_path: Path) -> None:
    conn.execute("create function app.of_a_user() returns int language sql as 'select 1'")
    db = a_copy_of_db(tmp_path)
    with (db / "20_errors.sql").open("a", encoding="utf-8") as errors:
        errors.write("\n-- changed\n")
    assert replay(conn, db)
    assert routines(conn, "of_a_user") == ["app.of_a_user()"]


def test_a_failing_replay_changes_nothing_and_names_the_line(
    conn: Connection[Any], server: Server, dsn: str, tmp_path: Path
) -> None:
    before, db = dump(server, dsn), a_copy_of_db(tmp_path)
    text = (db / "21_clock.sql").read_text(encoding="utf-8")
    (db / "21_clock.sql").write_text("create function app.half() returns int language sql as 'select 1';\n"
                                     "select nowhere;\n" + text, encoding="utf-8")  # fmt: skip
    with pytest.raises(Exception, match="nowhere") as caught:
        replay(conn, db)
    assert "in db/21_clock.sql:2" in "".join(caught.value.__notes__)
    assert dump(server, dsn) == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("\\ir 20_errors.sql\n", ""), "does not name 20_errors.sql"),
        (lambda text: text + "\\ir 99_nowhere.sql\n", "do not exist: 99_nowhere.sql"),
        (lambda text: text + "\\ir 00_schema.sql\n", "must ascend"),
        (lambda text: text.replace("\\ir 20_errors.sql\n", "\\ir 20_errors.sql\n" * 2), "twice"),
    ],
)
def test_a_faulty_load_order_is_refused(damage: Any, message: str, tmp_path: Path) -> None:
    db = a_copy_of_db(tmp_path)
    install = db / "install.sql"
    install.write_text(damage(install.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(replaying.LoadOrderError, match=message):
        replaying.load_order(db)
