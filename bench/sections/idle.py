"""What an idle runner asks of the database."""

from __future__ import annotations

import time
from contextlib import closing

from psycopg import Connection
from psycopg.rows import dict_row

from sisu_kodo import database

from ..common import SQL, Row, function_calls, one, track_functions
from ..context import Bench
from ..ledger import Measured
from ..report import Section, Table

_SECONDS = 60.0
"""With a runner and without: autovacuum comes by several times in each."""
_FLUSH_SECONDS = 2.0
_PAUSE = 0.2
_WHAT = (
    "One runner with its default settings on a database where nothing happens, watched from a connection to another database."
    " {how} What the same database counted without a runner is subtracted; autovacuum keeps its hands off, for it has transactions too. The calls of each function of the engine are"
    " those of `pg_stat_user_functions`."
)
_BY_STATEMENTS = "Statements are those of `pg_stat_statements`."
_BY_TRANSACTIONS = (
    "Statements are the transactions of `pg_stat_database`, because `pg_stat_statements` is not preloaded on this server:"
    " a runner commits each statement by itself."
)


def measure(bench: Bench) -> Section:
    """Quiet without a runner, then with one."""
    seconds = max(6.0, _SECONDS * bench.scale)
    with (
        bench.place("idle") as place,
        closing(database.connect(bench.server, row_factory=dict_row)) as watch,
    ):
        name = place.conn.info.dbname
        track_functions(place.conn)
        counter = "calls" if _statements_are_counted(watch) else "transactions"
        bench.settle(place)
        place.conn.execute(SQL["no_autovacuum"])
        time.sleep(_FLUSH_SECONDS)
        bench.say(f"{seconds:.0f} s without a runner")
        quiet = _count(watch, counter, name, seconds)
        with place.runners(1):
            time.sleep(2 * _FLUSH_SECONDS)
            before = function_calls(place.dsn)
            time.sleep(_PAUSE)  # its own transactions are counted by then
            bench.say(f"{seconds:.0f} s with an idle runner")
            busy = _count(watch, counter, name, seconds)
            after = function_calls(place.dsn)
    rate = max(0.0, busy - quiet)
    watched = seconds + _PAUSE
    rows = [
        ("statements", f"{rate * 60:.1f}", f"{rate:.2f}"),
        ("… without a runner", f"{quiet * 60:.1f}", f"{quiet:.2f}"),
    ]
    for function in sorted(after):
        calls = after[function] - before.get(function, 0)
        if calls:
            rows.append((f"`app.{function}`", f"{calls / watched * 60:.1f}", f"{calls / watched:.2f}"))
    return Section(
        "idle",
        "Idle statements",
        _WHAT.format(how=_BY_STATEMENTS if counter == "calls" else _BY_TRANSACTIONS),
        [Table(("", "a minute", "a second"), rows)],
        [Measured("idle_statements", rate, beside=f"{rate * 60:.0f} a minute and runner")],
    )


def _count(watch: Connection[Row], counter: str, name: str, seconds: float) -> float:
    """Statements a second of a database while we sleep."""
    first = one(watch, counter, database=name)["count"]
    began = time.perf_counter()
    time.sleep(seconds)
    last = one(watch, counter, database=name)["count"]
    return float(last - first) / (time.perf_counter() - began)


def _statements_are_counted(watch: Connection[Row]) -> bool:
    if not one(watch, "has_statements")["loaded"]:
        return False
    watch.execute("create extension if not exists pg_stat_statements")
    return True
