"""How long every oracle takes in a database with history (bench/seed.sql): `python -m bench.oracles DSN`.

One line each: the median and the slowest of so many calls in ms, and how many rows came.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import LiteralString, NamedTuple

import psycopg

# With the filter or the limit that an operator uses where a view has a row per run.
ORACLES: dict[str, LiteralString] = {
    "v_ops_inbox": "select * from app.v_ops_inbox",
    "v_ops_inbox of a kind": "select * from app.v_ops_inbox where kind = 'failed'",
    "v_invariants": "select * from app.v_invariants",
    "v_open_laws": "select * from app.v_open_laws",
    "v_ended_laws": "select * from app.v_ended_laws",
    "v_schedule_laws": "select * from app.v_schedule_laws",
    "v_gates_open limit 100": "select * from app.v_gates_open order by expires_at limit 100",
    "v_ops_failures_24h limit 100": "select * from app.v_ops_failures_24h limit 100",
    "v_ops_slow_steps": "select * from app.v_ops_slow_steps",
    "v_ops_queue_depth": "select * from app.v_ops_queue_depth",
    "v_ops_workers": "select * from app.v_ops_workers",
    "v_schedules": "select * from app.v_schedules",
    "v_run_timeline of a run": "select * from app.v_run_timeline where run_id = %(over)s",
    "v_recipes": "select * from app.v_recipes",
    "v_state_machine": "select * from app.v_state_machine",
    "explain_run over": "select * from app.explain_run(%(over)s)",
    "explain_run at a gate": "select * from app.explain_run(%(gate)s)",
    "explain_run in line": "select * from app.explain_run(%(line)s)",
    "get_run": "select app.get_run(%(over)s)",
    "get_steps": "select app.get_steps(%(over)s)",
    "list_runs": "select app.list_runs()",
    "list_runs of a name": 'select app.list_runs(\'{"name": "seed", "status": "ERROR"}\')',
    "page_run": "select app.page_run(%(over)s)",
    "page_ops": "select app.page_ops()",
    "page_charts": "select app.page_charts()",
    "page_recipes": "select app.page_recipes()",
    "search_runs": "select app.search_runs()",
    "search_runs of a text": 'select app.search_runs(\'{"text": "goal 99"}\')',
    "search_runs in vain": 'select app.search_runs(\'{"text": "nowhere"}\')',
    "gauges": "select app.gauges()",
    "dbos.workflow_status of a run": "select * from dbos.workflow_status where workflow_uuid = %(over)s",
    "dbos.workflow_status of a status": "select * from dbos.workflow_status where status = 'ERROR' limit 100",
    "dbos.workflow_status newest": "select * from dbos.workflow_status order by created_at desc limit 100",
    "dbos.operation_outputs of a run": "select * from dbos.operation_outputs where workflow_uuid = %(over)s",
}
_SAMPLES: dict[str, LiteralString] = {
    "over": "select run_id from app.runs where status = 'ERROR' order by created_at desc offset 100 limit 1",
    "gate": "select run_id from app.runs where status = 'WAITING_INPUT' order by created_at limit 1",
    "line": "select run_id from app.runs where status = 'ENQUEUED' order by created_at desc limit 1",
}


class Figure(NamedTuple):
    """One oracle."""

    name: str
    median_ms: float
    slowest_ms: float
    rows: int


def measure(
    connection: psycopg.Connection[tuple[object, ...]], calls: int = 5, like: str = ""
) -> Iterator[Figure]:
    """Call every oracle whose name holds `like`, `calls` times after a first one that does not count."""
    samples = {name: (connection.execute(sql).fetchone() or (None,))[0] for name, sql in _SAMPLES.items()}
    for name, sql in ORACLES.items():
        if like not in name:
            continue
        took: list[float] = []
        rows = 0
        for _ in range(calls + 1):
            began = time.perf_counter()
            rows = len(connection.execute(sql, samples).fetchall())
            took.append((time.perf_counter() - began) * 1000)
        yield Figure(name, statistics.median(took[1:]), max(took[1:]), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--like", default="", help="only oracles whose name holds this")
    given = parser.parse_args()
    with psycopg.connect(given.dsn, autocommit=True) as connection:
        for figure in measure(connection, like=given.like):
            print(
                f"{figure.name:36} {figure.median_ms:9.1f} {figure.slowest_ms:9.1f} ms {figure.rows:7} rows"
            )


if __name__ == "__main__":
    main()
