"""Where a server of ours listens, and for whom."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import InputError


class ListenAddress(NamedTuple):
    """An address that is listened to.

    Attributes:
        sock: the listening socket.
        host: its address as URLs have it.
        port: its port, even if any was asked for.
        local: whether this machine alone reaches it.
    """

    sock: socket.socket
    host: str
    port: int
    local: bool

    @property
    def names(self) -> list[str] | None:
        """The hosts by which browsers may address it; None for any. Others mean this machine only by DNS rebinding."""
        return ["localhost", self.host] if self.local else None

    def __str__(self) -> str:
        reach = "for this machine alone" if self.local else "for others, too"
        return f"http://{self.host}:{self.port} until Ctrl-C, {reach}"


@contextmanager
def listening(host: str, port: int) -> Iterator[ListenAddress]:
    """Listens in the block.

    Args:
        host: name or address of an interface of this machine.
        port: 0 for any that is free.

    Raises:
        InputError: the port is in use, or the host is none of this machine's.
    """
    if not host:  # which would be all interfaces
        raise InputError("--host: empty; 127.0.0.1 is this machine alone, 0.0.0.0 everybody who reaches it")
    try:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, TypeError, UnicodeError) as error:  # the latter two for what is no host's name
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host}, port {port}: cannot listen there ({reason}); --host and --port take others"
        ) from error
    with sock:
        address, port = sock.getsockname()[:2]
        local = ipaddress.ip_address(address).is_loopback
        yield ListenAddress(sock, f"[{address}]" if ":" in address else address, port, local)
