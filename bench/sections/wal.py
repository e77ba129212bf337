"""What a step costs besides time: bytes of write-ahead log, and round trips."""

from __future__ import annotations

from ..ceiling import BATCH, drain_ceiling, prepare_ceiling
from ..common import SQL, busy, function_calls, one, recipe, start_all, track_functions, wait_until_over
from ..context import Bench, Place
from ..report import Section, Table

_STEPS = 4
_RUNS = 5_000
_PATIENCE = 600.0
_WHAT = (
    f"Runs of {_STEPS} no-op steps on one busy runner: the distance that `pg_current_wal_insert_lsn` travels, and the calls of"
    " `app.work_rows` that `pg_stat_user_functions` counts (a call is a round trip), each over the number of steps. The ceiling is"
    f" the same of the bare set-based SQL, which commits {BATCH} steps a call. Images of whole pages, which Postgres writes when a page"
    " is touched for the first time after a checkpoint, are in all of them."
)


def measure(bench: Bench) -> Section:
    """Starts, execution, ceiling."""
    runs = bench.size(_RUNS, 50)
    steps = runs * _STEPS
    with bench.place("wal") as place:
        track_functions(place.conn)
        place.client.put_recipe(recipe(_STEPS))
        place.conn.execute(SQL["pause"])
        began = _bytes(place)
        bench.say("starting")
        start_all(place.client, f"bench-{_STEPS}", "wal", runs)
        started = _bytes(place)
        with place.runners(1, busy(1)):
            before = _calls(place)
            first = _bytes(place)
            bench.say("executing")
            place.conn.execute(SQL["unpause"])
            wait_until_over(place.conn, _PATIENCE)
            last = _bytes(place)
        calls = _calls(place) - before
        if not calls:
            raise RuntimeError("no call of app.work_rows was counted")
        prepare_ceiling(place.dsn, runs)
        bench.say("the ceiling")
        floor = _bytes(place)
        drain_ceiling(place.dsn, runs, _STEPS)
        floor = _bytes(place) - floor
    ours = (last - first) / steps
    bare = floor / steps
    rows = [
        (
            "a step",
            f"{ours:,.0f}",
            f"{bare:,.0f}",
            f"{ours / bare:.1f}×",
            f"{calls / steps:.4f}",
            f"{1 / BATCH:.4f}",
        ),
        (
            "a start of a run, in bulk",
            f"{(started - began) / runs:,.0f}",
            "–",
            "–",
            f"{1 / min(runs, 1000):.4f}",
            "–",
        ),
    ]
    titles = ("", "WAL bytes", "ceiling", "against it", "round trips", "ceiling")
    note = f"{steps / calls:.0f} steps a call of `app.work_rows` on average."
    return Section("wal", "WAL and round trips", _WHAT, [Table(titles, rows, note)])


def _bytes(place: Place) -> int:
    return int(one(place.conn, "wal")["bytes"])


def _calls(place: Place) -> int:
    return function_calls(place.dsn).get("work_rows", 0)
