"""The benchmark's arithmetic and report: verdicts are computed, and an interrupted run leaves what it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import run_section
from bench.charts import Chart, draw
from bench.common import percentile
from bench.context import Bench
from bench.ledger import TARGETS, Measured, Target, aim, bound, number, verdict
from bench.report import Facts, Report, Section, Table, markdown
from bench.sections import SECTIONS

FACTS = Facts(
    "0.1.0", "abc", "2026-01-01 00:00 UTC", "18", "3.11", "Linux", 2, 4.0, {"fsync": "on"}, 1.0, True
)


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1, 51, 96, 100, 100]
    assert percentile([], 0.5) == 0.0


@pytest.mark.parametrize(
    ("value", "expected"), [(11.0, "missed"), (10.0, "met"), (6.1, "met"), (6.0, "aim"), (0.1, "aim")]
)
def test_less_is_better(value: float, expected: str) -> None:
    target = Target("latency", "latency", "ms", 10, 6)
    assert verdict(target, Measured("latency", value)) == expected


@pytest.mark.parametrize(("value", "expected"), [(39.9, "missed"), (40, "met"), (59.9, "met"), (60, "aim")])
def test_more_is_better(value: float, expected: str) -> None:
    target = Target("share", "share", "%", 40, 60, more_is_better=True)
    assert verdict(target, Measured("share", value)) == expected


def test_an_aim_may_be_a_share_of_the_ceiling() -> None:
    target = Target("start", "start", "/s", 1500, aim_of_ceiling=0.5, more_is_better=True)
    assert aim(target, Measured("start", 1600, 4000)) == 2000
    assert verdict(target, Measured("start", 1600, 4000)) == "met"
    assert verdict(target, Measured("start", 1600, 3000)) == "aim"
    assert aim(target, None) is None
    assert verdict(target, Measured("start", 1600)) == "met"


def test_what_was_not_measured_is_not_met() -> None:
    assert verdict(TARGETS[0], None) == "not measured"


def test_numbers_are_written_with_their_unit() -> None:
    assert number(12345.6, "/s", 0) == "12,346/s"
    assert number(3.14159, "ms", 1) == "3.1 ms"
    assert number(1.057, "×", 2) == "1.06×"
    assert number(None, "ms", 1) == "–"
    assert bound(Target("a", "a", "×", 1.5), 1.5) == "≤ 1.5×"
    assert bound(Target("a", "a", "/s", 1, more_is_better=True), 20000) == "≥ 20,000/s"


def test_every_target_has_a_key_of_its_own() -> None:
    assert len({target.key for target in TARGETS}) == len(TARGETS)


def test_the_report_is_written_section_by_section(tmp_path: Path) -> None:
    report = Report(FACTS, tmp_path, planned=("latency", "starts", "wal"))
    measured = [Measured("latency_p50", 7.5, 2.0, "2.0 ms of bare commits")]
    report.add(
        Section(
            "latency", "Idle latency", "How.", [Table(("", "p50"), [("a|b", "7.5")])], measured, seconds=60
        )
    )
    text = (tmp_path / "README.md").read_text()
    row = (
        "idle run of 4 steps, start to SUCCESS, p50 | 7.5 ms | 2.0 ms of bare commits | ≤ 10 ms | ≤ 6 ms | ✓"
    )
    assert f"| {row} |" in text
    assert "✓ idle run of 4 steps, start to SUCCESS, p50: **7.5 ms**, target ≤ 10 ms, aim ≤ 6 ms." in text
    assert "| a\\|b | 7.5 |" in text
    assert "*Not finished: starts, wal.*" in text
    assert "took 1.0 minutes" in text
    assert report.failed == []

    report.add(Section("starts", "Starts", "", error="DataError: broken"))
    assert report.failed == ["starts"]
    text = (tmp_path / "README.md").read_text()
    assert "**Failed:** `DataError: broken`" in text
    assert "*Not finished: wal.*" in text
    ledger = {each["key"]: each for each in json.loads((tmp_path / "results.json").read_text())["ledger"]}
    assert ledger["latency_p50"]["verdict"] == "met"
    assert ledger["start_single"]["verdict"] == "not measured"


def test_a_partial_run_says_so(tmp_path: Path) -> None:
    facts = Facts("0.1.0", "abc", "now", "18", "3.11", "Linux", 2, 4.0, {}, 0.01, False)
    assert "partial run" in markdown(Report(facts, tmp_path))
    assert "partial run" not in markdown(Report(FACTS, tmp_path))


def test_a_section_that_fails_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(bench: Bench) -> Section:
        raise ValueError("no disk\nat all")

    monkeypatch.setitem(SECTIONS, "wal", fails)
    section = run_section(Bench("nowhere"), "wal")
    assert (section.name, section.error) == ("wal", "ValueError: no disk")


@pytest.mark.parametrize(
    "chart",
    [
        Chart("c", "Bars", "bars", "steps/s", [("a", [1, 2000]), ("b", [3, 4])], ["x", "y"], limit=3),
        Chart("c", "Rows", "rows", "ms", [("a", [5, 6])], ["x", "y"], limit=5.5),
        Chart("c", "Lines", "lines", "MB", [("a", [5, 6])], xs=[1, 2], x_unit="runs"),
        Chart("c", "Histogram", "histogram", "ms", [("a", [1, 2, 2])], xs=[0, 1, 2, 3], x_unit="runs"),
    ],
    ids=lambda chart: chart.kind,
)
def test_a_chart_is_the_same_for_the_same_numbers(chart: Chart, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(chart, tmp_path / "one.svg")
    draw(chart, tmp_path / "two.svg")
    one = (tmp_path / "one.svg").read_bytes()
    assert one.startswith(b"<?xml") and len(one) > 1000
    assert one == (tmp_path / "two.svg").read_bytes()
