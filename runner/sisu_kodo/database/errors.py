"""What the database package raises: every error says what to do next."""

from __future__ import annotations


class DatabaseError(Exception):
    """Something about the server, its engine or its schema is wrong; `hint` is the next action."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class EngineError(DatabaseError):
    """The embedded engine could not be found, created, started or stopped."""


class Unreachable(DatabaseError):
    """No server answered at the connection string."""


class Refused(DatabaseError):
    """The request would destroy something that it must not destroy without a word from the caller."""
