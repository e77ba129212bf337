"""Charts as SVG: dark on white for light and dark pages, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_OURS, _CEILING, _REST = "#2563a8", "#b9c0c8", ("#2563a8", "#b45f06", "#3d7a4e", "#7a4a8c", "#6b7280")
_INK, _GRID = "#24292f", "#e3e6ea"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "sisu-kodo",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#8a929b",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "grid.color": _GRID,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Chart:
    """`bars`: series side by side per label. `rows`: one series lying, a label each. `lines`: series over
    `xs`. `histogram`: every series is a list of values; `xs` are the edges of the bins.
    """

    name: str
    title: str
    kind: Literal["bars", "rows", "lines", "histogram"]
    unit: str
    series: Sequence[tuple[str, Sequence[float]]]
    labels: Sequence[str] = ()
    xs: Sequence[float] = ()
    x_unit: str = ""
    limit: float | None = None
    """A line across: the target."""


def draw(chart: Chart, path: Path) -> None:
    """Write the chart. Does nothing where matplotlib is not installed (the extra `bench`)."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context(_STYLE):
        figure, axes = pyplot.subplots(figsize=(7.2, 3.1), layout="constrained")
        {"bars": _bars, "rows": _rows, "lines": _lines, "histogram": _histogram}[chart.kind](axes, chart)
        axes.set_title(chart.title)
        axes.set_axisbelow(True)
        if chart.kind != "rows":
            axes.yaxis.set_major_formatter(_grouped)
        if chart.limit is not None and chart.kind == "rows":
            if chart.limit < axes.get_xlim()[1]:
                axes.axvline(chart.limit, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        elif chart.limit is not None:
            axes.axhline(chart.limit, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.annotate("target", (1.0, chart.limit), xycoords=("axes fraction", "data"), ha="right",
                          va="bottom", fontsize=8)  # fmt: skip
        if len(chart.series) > 1:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(chart.series)
            )
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def _bars(axes: Any, chart: Chart) -> None:
    count = len(chart.series)
    width = 0.8 / count
    colors = (_OURS, _CEILING) if count <= 2 else _REST
    for place, (name, values) in enumerate(chart.series):
        at = [n - 0.4 + width * (place + 0.5) for n in range(len(values))]
        drawn = axes.bar(at, values, width * 0.94, label=name, color=colors[place % len(colors)])
        axes.bar_label(drawn, labels=[_short(value) for value in values], fontsize=7, padding=1)
    axes.set_xticks(range(len(chart.labels)), chart.labels, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel(chart.unit)
    axes.margins(y=0.12)


def _rows(axes: Any, chart: Chart) -> None:
    ((_, values),) = chart.series
    drawn = axes.barh(range(len(values)), values, 0.7, color=_OURS)
    axes.bar_label(drawn, labels=[_short(value) for value in values], fontsize=7, padding=2)
    axes.set_yticks(range(len(values)), chart.labels, fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(chart.unit)
    axes.margins(x=0.1)


def _lines(axes: Any, chart: Chart) -> None:
    marker = "o" if len(chart.xs) <= 20 else ""
    for place, (name, values) in enumerate(chart.series):
        axes.plot(chart.xs, values, marker=marker, markersize=3.5, linewidth=1.6, label=name,
                  color=_REST[place % len(_REST)])  # fmt: skip
    axes.set_xlabel(chart.x_unit)
    axes.set_ylabel(chart.unit)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter(_grouped)
    axes.set_ylim(bottom=0, top=1.15 * max((max(values) for _, values in chart.series), default=1.0) or 1.0)


def _histogram(axes: Any, chart: Chart) -> None:
    for place, (name, values) in enumerate(chart.series):
        axes.hist(values, bins=list(chart.xs), label=name, alpha=0.75, color=(_OURS, "#8a929b")[place % 2])
    axes.set_xlabel(chart.unit)
    axes.set_ylabel(chart.x_unit)
    axes.grid(visible=False, axis="x")


def _grouped(value: float, _place: float = 0.0) -> str:
    return f"{value:,g}" if value < 1000 else f"{value:,.0f}"


def _short(value: float) -> str:
    """`950`, `12.3k`, `1M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + letter
    return f"{value:.1f}".removesuffix(".0") if value < 100 else f"{value:.0f}"
