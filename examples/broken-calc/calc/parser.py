"""Evaluates an expression by recursive descent: one function per level of precedence."""

from .tokens import tokenize


def evaluate(text: str) -> float:
    """Value of an expression. Raises ValueError for what is not one, ZeroDivisionError as usual."""
    tokens = tokenize(text)
    value = _sum(tokens)
    if tokens:
        raise ValueError(f"unexpected {tokens[0]!r}")
    return value


def _sum(tokens: list[str]) -> float:
    value = _product(tokens)
    if tokens and tokens[0] in "+-":
        sign = tokens.pop(0)
        right = _sum(tokens)
        value = value + right if sign == "+" else value - right
    return value


def _product(tokens: list[str]) -> float:
    value = _atom(tokens)
    while tokens and tokens[0] in "*/":
        sign = tokens.pop(0)
        right = _atom(tokens)
        value = value * right if sign == "*" else value / right
    return value


def _atom(tokens: list[str]) -> float:
    if not tokens:
        raise ValueError("unexpected end")
    token = tokens.pop(0)
    if token == "-":
        return -_atom(tokens)
    if token == "(":
        value = _sum(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("missing )")
        return value
    if token in "+*/)":
        raise ValueError(f"unexpected {token!r}")
    return float(token)
