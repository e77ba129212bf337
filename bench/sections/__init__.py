"""The sections of `make bench`, in the order of the report. Each is measured for itself, in databases of its own."""

from __future__ import annotations

from collections.abc import Callable

from ..context import Bench
from ..report import Section
from . import claims, fairness, idle, latency, memory, oracles, snapshot, starts, throughput, wal

SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "starts": starts.measure,
    "claims": claims.measure,
    "fairness": fairness.measure,
    "idle": idle.measure,
    "wal": wal.measure,
    "oracles": oracles.measure,
    "memory": memory.measure,
    "snapshot": snapshot.measure,
}
