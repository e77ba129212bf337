"""Who may call the API: tokens, the people or programs they name, and their roles.

SISU_TOKENS holds entries `name:roles:token`, separated by white space or commas; SISU_TOKENS_FILE names a
file with one entry a line (a line that begins with `#` is a comment). Roles are joined with `+`. Instead of
the token an entry may hold `sha256:` and the hex digest of it, so that the file keeps no secret; `sisu token`
makes both. Only digests are kept and compared, in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from ..config import Config, ConfigError

ROLES = ("viewer", "starter", "approver", "operator")
"""viewer reads; starter creates intents and starts runs; approver answers gates; operator cancels, resumes,
forks. Every role reads."""
SHORTEST = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Caller:
    """Who calls. `name` is None where no tokens are asked for: then everything is allowed."""

    name: str | None
    roles: frozenset[str]

    def may(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)


ANYBODY = Caller(None, frozenset(ROLES))


@dataclass(frozen=True)
class Tokens:
    """The known tokens: (digest, caller) each. Empty: none are asked for."""

    known: tuple[tuple[bytes, Caller], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.known)

    def find(self, token: str) -> Caller | None:
        """Whose token it is. Looks at every one, whatever it has found before."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest().encode()
        found: Caller | None = None
        for known, caller in self.known:
            if hmac.compare_digest(digest, known):
                found = caller
        return found


def load_tokens(config: Config) -> Tokens:
    """The tokens of the settings. Raises ConfigError naming the variable and the entry, never a token."""
    entries = [
        ("SISU_TOKENS", number, word)
        for number, word in enumerate(re.split(r"[\s,]+", (config.tokens or "").strip(" ,\t\r\n")), 1)
        if word
    ]
    if config.tokens_file is not None:
        entries += [("SISU_TOKENS_FILE", number, line) for number, line in _lines(config.tokens_file)]
    known: list[tuple[bytes, Caller]] = []
    for variable, number, text in entries:
        try:
            known.append(_entry(text))
        except ValueError as error:
            raise ConfigError(f"{variable}: entry {number} {error}") from None
    if len({digest for digest, _ in known}) != len(known):
        raise ConfigError("SISU_TOKENS: two entries have the same token")
    if not known and (config.tokens is not None or config.tokens_file is not None):
        variable = "SISU_TOKENS" if config.tokens is not None else "SISU_TOKENS_FILE"
        raise ConfigError(f"{variable}: holds no token")
    return Tokens(tuple(known))


def new_token(name: str, roles: str) -> tuple[str, str]:
    """A fresh random token, and the entry with its digest. Raises ValueError."""
    token = secrets.token_urlsafe(32)
    entry = f"{name}:{roles}:sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    _entry(entry)
    return token, entry


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"SISU_TOKENS_FILE: {path} cannot be read: {error}") from None
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _entry(text: str) -> tuple[bytes, Caller]:
    name, roles, token = (*text.split(":", 2), "", "")[:3]
    if not _NAME.fullmatch(name) or not token:
        raise ValueError("is not name:roles:token")
    given = frozenset(roles.split("+"))
    if not given <= frozenset(ROLES):
        raise ValueError(f"has a role that is none of {', '.join(ROLES)}")
    kind, colon, digest = token.partition(":")
    if colon and kind == "sha256":
        if not _DIGEST.fullmatch(digest):
            raise ValueError("has a sha256 that is not 64 hex digits in lower case")
        return digest.encode(), Caller(name, given)
    if len(token) < SHORTEST:
        raise ValueError(f"has a token of fewer than {SHORTEST} characters")
    return hashlib.sha256(token.encode()).hexdigest().encode(), Caller(name, given)
