"""What the embedded engine takes of a machine."""

from __future__ import annotations

import pytest

from sisu_kodo.database import engine


@pytest.mark.parametrize(
    ("gigabytes", "buffers"), [(0.5, "128MB"), (4, "512MB"), (16, "2048MB"), (256, "4096MB")]
)
def test_buffers_are_an_eighth_within_bounds(gigabytes: float, buffers: str) -> None:
    assert engine._sizes(int(gigabytes * 2**30))["shared_buffers"] == buffers


def test_the_machine_has_memory() -> None:
    assert engine._memory() > 2**28
