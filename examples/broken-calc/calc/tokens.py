"""Text to tokens: numbers and the signs + - * / ( )."""

import re

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([-+*/()]))")


def tokenize(text: str) -> list[str]:
    """Split `text` into tokens. Raises ValueError at the first character that is none."""
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected {text[position]!r} at {position}")
        tokens.append(match.group(1) or match.group(2))
        position = match.end()
    return tokens
