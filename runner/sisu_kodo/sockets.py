"""A listening socket, or a word on why it cannot be had."""

from __future__ import annotations

import socket

from .config import ConfigError


def listening(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket. Raises ConfigError naming `variable` when the address cannot be had."""
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((address, port))
        found.listen(2048)
        found.setblocking(False)
    except OSError as error:
        found.close()
        raise ConfigError(f"{variable}: cannot listen on {host}:{port}: {error.strerror or error}") from None
    return found
