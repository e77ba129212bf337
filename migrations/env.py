"""What alembic runs, all in one transaction under one lock: pgmq, the revisions, and at head code and queues.

`sisu db migrate` passes an open connection in `attributes["connection"]`; the alembic program opens its own.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.script import ScriptDirectory

from sisu_kodo.config import load_config
from sisu_kodo.database import connect, ensure_up
from sisu_kodo.database.paths import replay_module, sql_dir
from sisu_kodo.database.pgmq import ensure_pgmq

LOCK = "select pg_advisory_xact_lock(hashtextextended('sisu_kodo.migrate', 0))"


def run(raw: Any, queue_partition: bool | None) -> None:
    """Migrate over `raw`, a psycopg connection without autocommit; commits at the end or does nothing."""
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=sa.pool.StaticPool)
    with engine.connect() as connection, connection.begin():
        raw.execute("set local lock_timeout = '60s'")
        raw.execute(LOCK)
        ensure_pgmq(raw)
        raw.execute("create schema if not exists app")
        context.configure(connection=connection, version_table_schema="app", transaction_per_migration=False)
        with context.begin_transaction():
            context.run_migrations()
        if set(context.get_context().get_current_heads()) == set(
            ScriptDirectory.from_config(context.config).get_heads()
        ):
            replay_module().replay(raw, sql_dir())
            raw.execute("select app.ensure_queues()")
            if queue_partition is not None:
                raw.execute("select app.set_queue_partitioning(%s)", [queue_partition])


if context.is_offline_mode():
    raise SystemExit("no offline mode: db/install.sql is the script to read")

given = context.config.attributes.get("connection")
if given is not None:
    run(given, context.config.attributes.get("queue_partition"))
else:
    settings = load_config()
    with closing(connect(ensure_up(settings), autocommit=False)) as own:
        run(own, settings.sbx_queue_partition)
