"""What handlers hand over, as JSON text that whoever comes later can read again."""

from __future__ import annotations

import json
import sys
from itertools import chain

from .models import JSON

DEEPEST = 500
_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 309
"""The digits of the smallest integer that no double holds."""


def written(value: JSON) -> str:
    """`value` as JSON text in ASCII.

    Raises TypeError or ValueError for what is not JSON, is nested deeper than 500 levels, or holds a number
    beyond 1.8e308. Only a text that may hold such a thing is looked at closely.
    """
    try:
        text = _encode(value)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if len(text) >= len(_LONG) and (
        text.count("[") + text.count("{") > DEEPEST or _LONG in text.encode("ascii").translate(_ZEROS)
    ):
        _check(value)
    return text


def _check(value: JSON) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        if any(isinstance(each, int) and abs(each) > sys.float_info.max for each in level):
            raise ValueError("it holds a number beyond 1.8e308")
        inner = [
            each.values() if isinstance(each, dict) else each
            for each in level
            if isinstance(each, (dict, list, tuple))
        ]
        if not inner:
            return
        level = list(chain.from_iterable(inner))
    raise ValueError(_TOO_DEEP)
