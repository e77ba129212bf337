"""The report: sections as they come, Markdown with charts beside it, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .charts import Chart, draw
from .ledger import MARKS, TARGETS, Measured, aim, bound, number, verdict

INDEX = "README.md"


@dataclass(frozen=True)
class Table:
    """Cells as they are printed; the first column is text, the others are numbers."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """What one section found. `what` says in plain words what is measured, and how."""

    name: str
    title: str
    what: str
    tables: Sequence[Table] = ()
    measured: Sequence[Measured] = ()
    charts: Sequence[Chart] = ()
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Facts:
    """The machine and the run. `is_full` is false where sizes were scaled or sections left out."""

    version: str
    commit: str
    began: str
    server: str
    python: str
    machine: str
    cores: int
    memory_gb: float
    settings: Mapping[str, str]
    scale: float
    is_full: bool
    load_before: float = 0.0


@dataclass
class Report:
    """Collects sections and writes everything anew after each, so that an interrupted run leaves a report."""

    facts: Facts
    folder: Path
    sections: list[Section] = field(default_factory=list)
    planned: Sequence[str] = ()
    seconds: float = 0.0

    def add(self, section: Section) -> None:
        """Take a section that has ended, and write."""
        self.sections.append(section)
        self.seconds += section.seconds
        self.write()

    def write(self) -> None:
        """README.md, results.json and the charts, into `folder`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for section in self.sections:
            for chart in section.charts:
                draw(chart, self.folder / f"{chart.name}.svg")
        (self.folder / "results.json").write_text(as_json(self), encoding="utf-8")
        (self.folder / INDEX).write_text(markdown(self), encoding="utf-8")

    @property
    def failed(self) -> list[str]:
        """Names of the sections that could not be measured."""
        return [section.name for section in self.sections if section.error]


def as_json(report: Report) -> str:
    """Facts, ledger and sections."""
    found = found_in(report.sections)
    ledger = [
        {
            "key": target.key,
            "figure": target.figure,
            "unit": target.unit,
            "measured": found[target.key].value if target.key in found else None,
            "ceiling": found[target.key].ceiling if target.key in found else None,
            "target": target.least,
            "aim": aim(target, found.get(target.key)),
            "verdict": verdict(target, found.get(target.key)),
        }
        for target in TARGETS
    ]
    told: dict[str, Any] = {
        "facts": asdict(report.facts),
        "ledger": ledger,
        "sections": [asdict(section) for section in report.sections],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def markdown(report: Report) -> str:
    """The whole report."""
    parts = ["# Benchmarks", _facts(report), _ledger(report)]
    parts += [_section(section) for section in report.sections]
    missing = [name for name in report.planned if name not in {s.name for s in report.sections}]
    if missing:
        parts.append(f"*Not finished: {', '.join(missing)}.*")
    return "\n\n".join(parts) + "\n"


def _facts(report: Report) -> str:
    facts = report.facts
    settings = ", ".join(f"{name} {value}" for name, value in facts.settings.items())
    lines = [
        "By `make bench`; [what each figure means and how to read it](../../docs/benchmarks.md). "
        "Every figure stands beside a ceiling that was measured in the same run on the same server.",
        "",
        "| | |",
        "|---|---|",
        f"| Sisu-Kodo | {facts.version}, commit {facts.commit} |",
        f"| begun | {facts.began}, took {report.seconds / 60:.1f} minutes |",
        f"| machine | {facts.cores} cores, {facts.memory_gb:.0f} GB, {facts.machine};"
        f" load {facts.load_before:.2f} before it began |",
        f"| PostgreSQL | {facts.server}; {settings} |",
        f"| Python | {facts.python} |",
    ]
    if not facts.is_full:
        lines += [
            "",
            f"> **A partial run** (scale {facts.scale:g}, {len(report.planned)} sections): sizes are not"
            " those that the figures name, so the verdicts mean little.",
        ]
    return "\n".join(lines)


def _ledger(report: Report) -> str:
    found = found_in(report.sections)
    rows = []
    for target in TARGETS:
        got = found.get(target.key)
        value = None if got is None else got.value
        beside = "–" if got is None or not got.beside else got.beside
        rows.append(
            (
                target.figure,
                number(value, target.unit, target.digits),
                beside,
                bound(target, target.least),
                bound(target, aim(target, got)),
                MARKS[verdict(target, got)],
            )
        )
    table = Table(("figure", "measured", "beside it", "target", "aim", "met"), rows)
    return (
        f"## Ledger\n\n{_table(table)}\n\n"
        "✓ the target is met, ✓✓ the aim too, ✗ neither, – not measured. All of it is computed."
    )


def _section(section: Section) -> str:
    parts = [f"## {section.title}", section.what]
    if section.error:
        parts.append(f"**Failed:** `{section.error}`")
    for table in section.tables:
        parts.append(_table(table))
        if table.note:
            parts.append(table.note)
    targets = {target.key: target for target in TARGETS}
    for got in section.measured:
        target = targets[got.key]
        value, wish = number(got.value, target.unit, target.digits), aim(target, got)
        bounds = f"target {bound(target, target.least)}"
        if wish is not None:
            bounds += f", aim {bound(target, wish)}"
        parts.append(f"{MARKS[verdict(target, got)]} {target.figure}: **{value}**, {bounds}.")
    parts += [f"![{chart.title}]({chart.name}.svg)" for chart in section.charts]
    return "\n\n".join(parts)


def _table(table: Table) -> str:
    rule = ["---"] + ["---:"] * (len(table.titles) - 1)
    lines = [table.titles, rule, *table.rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def found_in(sections: Sequence[Section]) -> dict[str, Measured]:
    """What was measured, by key."""
    return {got.key: got for section in sections for got in section.measured}
