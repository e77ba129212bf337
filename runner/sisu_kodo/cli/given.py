"""What people give on the command line: JSON that can be stored, or wrong usage in words."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import IO, Any

import click

from ..errors import BadRequest
from ..http.bodies import read_value


def parsed(what: str, text: str) -> Any:
    """The value of a JSON text that the engine can store. Raises click.UsageError with every fault."""
    try:
        return read_value(text)
    except BadRequest as error:
        raise click.UsageError(f"{what} {_told(error)}") from None


def parsed_file(what: str, file: IO[str]) -> Any:
    """The same of a file, which is read to its end."""
    try:
        text = file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{what} is not UTF-8 at byte {error.start}") from None
    return parsed(what, text)


def parsed_or_text(what: str, text: str) -> Any:
    """The value if the text reads as JSON, else the text."""
    try:
        return read_value(text)
    except BadRequest as error:
        if error.code == "malformed_json":
            return text
        raise click.UsageError(f"{what} {_told(error)}") from None


def readable(words: Iterable[str]) -> None:
    """Raises click.UsageError for a word whose bytes are not UTF-8."""
    for word in words:
        if not word.isprintable() and any("\udc80" <= each <= "\udcff" for each in word):
            raise click.UsageError(f"{word!r} is not UTF-8")


def myself() -> str:
    """The name of the account. Raises click.UsageError where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("this account has no name: say with --actor who you are") from None


def _told(error: BadRequest) -> str:
    return "; ".join(f"{fault['path']} {fault['message']}".strip() for fault in error.details)
