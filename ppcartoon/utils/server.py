"""Listening sockets for the built-in web servers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import InputError


class ListenAddress(NamedTuple):
    """The address of a listening socket.

    Attributes:
        sock: the listening socket.
        host: IP address as written in URLs.
        port: the actual port, also if any free one was requested.
        local: whether it is reachable from this machine only.
    """

    sock: socket.socket
    host: str
    port: int
    local: bool

    @property
    def names(self) -> list[str] | None:
        """Allowed values of the Host header, to prevent DNS rebinding; None for any."""
        return ["localhost", self.host] if self.local else None

    def __str__(self) -> str:
        reach = "reachable from this machine only" if self.local else "reachable from other machines"
        return f"http://{self.host}:{self.port} until Ctrl-C, {reach}"


@contextmanager
def listening(host: str, port: int) -> Iterator[ListenAddress]:
    """Listens on an address within the block.

    Args:
        host: name or address of an interface of this machine.
        port: 0 for any free one.

    Raises:
        InputError: the port is in use, or the host is not an interface of this machine.
    """
    if not host:  # would mean all interfaces
        raise InputError("--host: empty; use 127.0.0.1 for this machine only, 0.0.0.0 for all interfaces")
    try:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, TypeError, UnicodeError) as error:  # the latter two for invalid host names
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host}, port {port}: cannot listen there ({reason}); choose another --host or --port"
        ) from error
    with sock:
        address, port = sock.getsockname()[:2]
        local = ipaddress.ip_address(address).is_loopback
        yield ListenAddress(sock, f"[{address}]" if ":" in address else address, port, local)
