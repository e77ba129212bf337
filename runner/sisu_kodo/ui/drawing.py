"""A recipe as a drawing: steps in columns by how far they are from the start, arrows from what they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

BOX_W, BOX_H, GAP_X, GAP_Y, PAD = 176, 56, 56, 24, 12
_LONGEST = 20


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    name: str
    full: str
    kind: str
    gates: tuple[str, ...]


@dataclass(frozen=True)
class Arrow:
    """An SVG path; `gated` when a gate stands at its end."""

    path: str
    gated: bool


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    words: str


def drawing(steps: Sequence[dict[str, Any]]) -> Drawing:
    """The drawing of the steps of app.page_recipe. Each step stands one column right of the last it needs.

    An arrow that passes columns has a place of its own in each, so that it runs beside the boxes.
    """
    column: dict[int, int] = {}
    for step in steps:
        column[step["idx"]] = 1 + max((column[need] for need in step["needs"] if need in column), default=-1)
    edges = [(need, step["idx"]) for step in steps for need in step["needs"] if need in column]
    row = _rows(column, edges)
    at = {place: (PAD + x * (BOX_W + GAP_X), PAD + y * (BOX_H + GAP_Y)) for place, (x, y) in row.items()}
    gated = {step["idx"] for step in steps if step["gates"]}
    names = {step["idx"]: step["stepID"] for step in steps}
    arrows = tuple(
        Arrow(_path([at[place] for place in _stops(column, need, idx)]), idx in gated) for need, idx in edges
    )
    words = "; ".join(
        f"{step['stepID']} after {', '.join(names[need] for need in step['needs'])}"
        if step["needs"]
        else step["stepID"]
        for step in steps
    )
    return Drawing(
        width=2 * PAD + (1 + max(column.values(), default=0)) * (BOX_W + GAP_X) - GAP_X,
        height=2 * PAD + (1 + max((y for _, y in row.values()), default=0)) * (BOX_H + GAP_Y) - GAP_Y,
        boxes=tuple(_box(step, *at[step["idx"], step["idx"], column[step["idx"]]]) for step in steps),
        arrows=arrows,
        words=words,
    )


Place = tuple[int, int, int]
"""A box (idx, idx, column), or where the arrow (from, to) passes a column."""


def _stops(column: dict[int, int], need: int, idx: int) -> list[Place]:
    between = [(need, idx, x) for x in range(column[need] + 1, column[idx])]
    return [(need, need, column[need]), *between, (idx, idx, column[idx])]


def _rows(column: dict[int, int], edges: Sequence[tuple[int, int]]) -> dict[Place, tuple[int, int]]:
    """Column and row of every place: in each column in the order of what leads there."""
    before: dict[Place, list[Place]] = {(idx, idx, x): [] for idx, x in column.items()}
    for need, idx in edges:
        stops = _stops(column, need, idx)
        for one, other in pairwise(stops):
            before.setdefault(other, []).append(one)
    found: dict[Place, tuple[int, int]] = {}
    for x in range(1 + max(column.values(), default=0)):
        here = [place for place in before if place[2] == x]
        weight = {
            place: sum(found[each][1] for each in before[place]) / len(before[place]) if before[place] else 0
            for place in here
        }
        for y, place in enumerate(sorted(here, key=lambda place: (weight[place], place))):
            found[place] = (x, y)
    return found


def _box(step: dict[str, Any], x: int, y: int) -> Box:
    name = step["stepID"]
    if step["sleepMS"] is not None or step["sleepInput"] is not None:
        kind = "sleeps"
    elif step["fanOver"] is not None:
        kind = "map"
    elif step["fanQueue"] is not None:
        kind = "fans out"
    else:
        kind = "when …" if step["condition"] else "step"
    shown = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    return Box(x, y, shown, name, kind, tuple(gate["gateKey"] for gate in step["gates"]))


def _path(stops: Sequence[tuple[int, int]]) -> str:
    """From the right edge of the first box to the left edge of the last, through the places between."""
    x, y = stops[0][0] + BOX_W, stops[0][1] + BOX_H // 2
    path = f"M{x} {y}"
    for number, (left, top) in enumerate(stops[1:], 1):
        is_last = number == len(stops) - 1
        to_x, to_y = left - (4 if is_last else 0), top + BOX_H // 2
        path += f" C{x + GAP_X // 2} {y} {to_x - GAP_X // 2} {to_y} {to_x} {to_y}"
        if not is_last:
            path += f" H{left + BOX_W}"
        x, y = left + BOX_W, to_y
    return path
