"""What an artifact holds, as rows for a template: a plan, a diff, JUnit results, JSON, text, an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from . import formats

_MOST_TEXT = 200_000
_MOST_LINES = 4000
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"})


@dataclass(frozen=True)
class Line:
    """A line of a diff. `kind` is add, del, hunk, file or same."""

    kind: str
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True)
class Case:
    name: str
    outcome: str
    seconds: str
    told: str


@dataclass(frozen=True)
class View:
    """`kind` is none, plan, diff, junit, json, text, image or bytes; `cut`: only the beginning is here."""

    kind: str
    text: str = ""
    lines: tuple[Line, ...] = ()
    cases: tuple[Case, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    cut: bool = False


def view_of(kind: str, name: str, media_type: str, body: bytes) -> View:
    """How to show an artifact. What cannot be read as what it says it is comes as text, or as bytes."""
    main = media_type.partition(";")[0].strip().lower()
    if kind == "none":
        return View("none")
    if main in _IMAGES:
        return View("image")
    try:
        text = body[: _MOST_TEXT * 4].decode("utf-8")
    except UnicodeDecodeError as error:
        if len(body) > _MOST_TEXT * 4 and error.start > _MOST_TEXT * 4 - 8:
            text = body[: error.start].decode("utf-8")
        else:
            return View("bytes")
    if "\0" in text:
        return View("bytes")
    cut = len(text) > _MOST_TEXT or len(body) > _MOST_TEXT * 4
    text = text[:_MOST_TEXT]
    if kind == "patch" or main in ("text/x-diff", "text/x-patch"):
        lines = tuple(diff_lines(text))
        return View("diff", text, lines[:_MOST_LINES], cut=cut or len(lines) > _MOST_LINES)
    if not cut and (junit := _junit(name, text)) is not None:
        return junit
    if not cut and (main == "application/json" or main.endswith("+json")):
        return _json(kind, text)
    return View("text", text, cut=cut)


def diff_lines(text: str) -> Iterator[Line]:
    """The lines of a unified diff with their numbers on both sides."""
    old = new = 0
    for line in text.splitlines():
        if line.startswith("@@"):
            old, new = _starts(line)
            yield Line("hunk", None, None, line)
        elif not old and not new:
            yield Line("file", None, None, line)
        elif line.startswith("+"):
            yield Line("add", None, new, line[1:])
            new += 1
        elif line.startswith("-"):
            yield Line("del", old, None, line[1:])
            old += 1
        elif line.startswith("\\"):
            yield Line("file", None, None, line)
        elif line.startswith(("diff ", "index ")):
            old = new = 0
            yield Line("file", None, None, line)
        else:
            yield Line("same", old, new, line[1:])
            old, new = old + 1, new + 1


def _starts(header: str) -> tuple[int, int]:
    numbers = []
    for word in header.split()[1:3]:
        digits = word[1:].partition(",")[0]
        numbers.append(int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 1)
    return (numbers[0] or 1, numbers[1] or 1) if len(numbers) == 2 else (1, 1)


def _json(kind: str, text: str) -> View:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return View("text", text)
    if kind == "plan_card" and is_plan(value):
        return View("plan", formats.pretty(value), plan=value)
    return View("json", formats.pretty(value))


def is_plan(value: Any) -> bool:
    """Whether a plan card can be shown as one: {goal, design[], files[], risks[], tests[], patchPlan[]}."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("goal"), str)
        and all(
            isinstance(value.get(name, []), list)
            and all(isinstance(item, str) for item in value.get(name, []))
            for name in ("design", "files", "risks", "tests")
        )
        and isinstance(value.get("patchPlan", []), list)
        and all(
            isinstance(item, dict) and isinstance(item.get("path"), str) and isinstance(item.get("diff"), str)
            for item in value.get("patchPlan", [])
        )
    )


def _junit(name: str, text: str) -> View | None:
    """JUnit results; None for anything else. A document type is never read: it could grow without end."""
    head = text.lstrip()[:500]
    if not name.endswith(".xml") or "<testsuite" not in head or "<!" in text:
        return None
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    cases = tuple(_case(each) for each in root.iter("testcase"))
    counts: dict[str, int] = {"passed": 0, "failed": 0, "skipped": 0}
    for case in cases:
        counts[case.outcome] += 1
    order = {"failed": 0, "skipped": 1, "passed": 2}
    return View(
        "junit", text, cases=tuple(sorted(cases, key=lambda case: order[case.outcome]))[:1000], counts=counts
    )


def _case(each: ElementTree.Element) -> Case:
    outcome, told = "passed", ""
    for kind, word in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (found := each.find(kind)) is not None:
            outcome, told = word, (found.text or found.get("message") or "").strip()
            break
    name = ".".join(part for part in (each.get("classname"), each.get("name")) if part)
    return Case(name, outcome, each.get("time") or "", told[:20_000])
