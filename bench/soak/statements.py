"""The statements of soak.sql by name."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString

from sisu_kodo.queries import parse

_FILE = Path(__file__).with_name("soak.sql")
STATEMENTS: dict[str, LiteralString] = parse(_FILE.read_text(encoding="utf-8"))
