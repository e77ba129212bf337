"""A recipe as a drawing: steps in columns by how far they are from the start, arrows from what they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """The drawing of the steps of app.page_recipe. Each step stands one column right of the last it needs."""
    column: dict[int, int] = {}
    rows: dict[int, int] = {}
    place: dict[int, tuple[int, int]] = {}
    for step in steps:
        idx = step["idx"]
        column[idx] = 1 + max((column[need] for need in step["needs"] if need in column), default=-1)
        row = rows.get(column[idx], 0)
        rows[column[idx]] = row + 1
        place[idx] = (PAD + column[idx] * (BOX_W + GAP_X), PAD + row * (BOX_H + GAP_Y))
    boxes = tuple(_box(step, *place[step["idx"]]) for step in steps)
    arrows = tuple(
        Arrow(_path(place[need], place[step["idx"]]), bool(step["gates"]))
        for step in steps
        for need in step["needs"]
        if need in place
    )
    width = 2 * PAD + (1 + max(column.values(), default=0)) * (BOX_W + GAP_X) - GAP_X
    height = 2 * PAD + max(rows.values(), default=1) * (BOX_H + GAP_Y) - GAP_Y
    names = {step["idx"]: step["stepID"] for step in steps}
    words = "; ".join(
        f"{step['stepID']} after {', '.join(names[need] for need in step['needs'])}"
        if step["needs"]
        else step["stepID"]
        for step in steps
    )
    return Drawing(width, height, boxes, arrows, words)


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


def _path(since: tuple[int, int], to: tuple[int, int]) -> str:
    x1, y1 = since[0] + BOX_W, since[1] + BOX_H // 2
    x2, y2 = to[0] - 4, to[1] + BOX_H // 2
    bend = max(24, (x2 - x1) // 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
