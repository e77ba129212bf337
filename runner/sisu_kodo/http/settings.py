"""What one shim needs to know, made once from the settings of the process."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from ..config import Config, ConfigError
from .tokens import Tokens, load_tokens

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True)
class HttpSettings:
    """Times are in seconds. `hosts` are the names under which requests may come, None for any; a database
    connection becomes `role` where its login may, None leaves it as it is.
    """

    dsn: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 3000
    hosts: frozenset[str] | None = _LOOPBACK_NAMES
    tokens: Tokens = field(default_factory=Tokens, repr=False)
    body_limit: int = 1_048_576
    pool_size: int = 10
    app_version: str = "0"
    trace_base_url: str | None = None
    role: str | None = "app_api"
    longest_wait: float = 60.0
    poll_interval: float = 0.25
    most_waiting: int = 200
    receive_seconds: float = 15.0
    send_seconds: float = 30.0


def http_settings(config: Config, dsn: str, host: str | None = None, port: int | None = None) -> HttpSettings:
    """The settings of `sisu api`. Raises ConfigError when the address wants tokens and there are none."""
    address = host or config.host
    tokens = load_tokens(config)
    loopback = is_loopback(address)
    if not loopback and not tokens:
        raise ConfigError(
            f"SISU_HOST: {address} can be reached from elsewhere, and no tokens are set: set SISU_TOKENS or "
            "SISU_TOKENS_FILE (`sisu token` makes one), or listen on 127.0.0.1"
        )
    named = frozenset(word.lower() for word in re.split(r"[\s,]+", config.hosts or "") if word)
    hosts: frozenset[str] | None = named or None
    if loopback:
        hosts = named | _LOOPBACK_NAMES | {f"[{address}]" if ":" in address else address.lower()}
    return HttpSettings(
        dsn=dsn,
        host=address,
        port=config.port if port is None else port,
        hosts=hosts,
        tokens=tokens,
        body_limit=config.body_limit,
        pool_size=config.api_pool,
        app_version=config.app_version,
        trace_base_url=config.trace_base_url,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
