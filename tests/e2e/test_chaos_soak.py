"""The soak in small: it finds nothing in the engine, and does find what is broken on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.soak.play import Options, soak

PATIENCE = 40.0


def test_runs_under_fire_end_as_they_must_exactly_once(dsn: str, tmp_path: Path) -> None:
    report = soak(dsn, tmp_path, Options(rounds=2, seed=1, patience=PATIENCE))
    assert report.findings == []
    assert report.is_proof, json.dumps(report.as_json())


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [("late-commits", "a step succeeds once"), ("double-effects", "an artifact is kept once")],
)
def test_a_broken_engine_is_found_out(dsn: str, tmp_path: Path, sabotage: str, found: str) -> None:
    options = Options(rounds=12, seed=1, patience=8.0, sabotage=sabotage)
    report = soak(dsn, tmp_path, options, until_duplicate=True)
    assert not report.ok
    assert found in {each.what for each in report.rounds[-1].duplicates}
