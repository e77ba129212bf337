"""What the embedded engine takes of a machine."""

from __future__ import annotations

import pytest

from sisu_kodo.database import engine


@pytest.mark.parametrize(
    ("gigabytes", "buffers"), [(0.5, "128MB"), (4, "1024MB"), (16, "4096MB"), (256, "8192MB")]
)
def test_buffers_are_a_quarter_within_bounds(gigabytes: float, buffers: str) -> None:
    assert engine._sizes(int(gigabytes * 2**30), 2**40)["shared_buffers"] == buffers


@pytest.mark.parametrize(("gigabytes", "wal"), [(1, "1024MB"), (40, "4096MB"), (1000, "8192MB")])
def test_the_log_takes_a_tenth_of_what_is_free(gigabytes: int, wal: str) -> None:
    assert engine._sizes(2**33, gigabytes * 2**30)["max_wal_size"] == wal


def test_the_machine_has_memory() -> None:
    assert engine._memory() > 2**28
