"""Numbers and times as people read them. Times are epoch ms, shown in UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

_SIZES = ("B", "kB", "MB", "GB", "TB")


def duration(ms: float | None) -> str:
    """`12 ms`, `2.19 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`; a dash for None."""
    if ms is None:
        return "–"
    ms = max(0, round(ms))
    if ms < 1000:
        return f"{ms} ms"
    if ms < 59_995:
        return f"{ms / 1000:.2f} s" if ms < 9_995 else f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    for size, unit, small, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole} {unit} {rest // small} {smaller}" if rest // small else f"{whole} {unit}"
    return f"{seconds} s"


def moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def clock(ms: int | None) -> str:
    """`24 Nov 21:33:12`."""
    at = moment(ms)
    return "–" if at is None else f"{at.day} {at:%b %H:%M:%S}"


def iso(ms: int | None) -> str:
    at = moment(ms)
    return "" if at is None else at.isoformat(timespec="milliseconds")


def size(n: int | None) -> str:
    """`538 B`, `1.2 kB`."""
    if n is None:
        return "–"
    value, unit = float(n), 0
    while value >= 999.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{n} B" if unit == 0 else f"{value:.1f} {_SIZES[unit]}"


def short(text: str | None, n: int = 12) -> str:
    """An id that is recognised by its beginning and its end; a fork keeps its number."""
    if not text:
        return "–"
    root, fork, number = text.rpartition("-f")
    if not fork or not number.isdigit():
        root, fork, number = text, "", ""
    return text if len(root) <= n + 7 else f"{root[:n]}…{root[-4:]}{fork}{number}"


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


def number(n: int | None) -> str:
    """`12`, `1 000`: digits in threes."""
    return "–" if n is None else f"{n:,}".replace(",", "\u202f")


def plural(n: int, word: str) -> str:
    return f"{number(n)} {word}{'' if n == 1 else 's'}"
