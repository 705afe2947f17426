"""Listening sockets and the HTTP server of the built-in web pages and services."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MAX_CONNECTIONS = 1000
RESERVED_FILES = 256  # that the application and the system's queue of connections may open


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


def serve(app: ASGIApp, address: ListenAddress, ready: Callable[[], None] = lambda: None) -> None:
    """Serves an ASGI application by HTTP until Ctrl-C or SIGTERM.

    Clients that are idle, slow or too many do not keep it from others: `connections.Timeouts` says how long a client
    may take. Errors are answered with JSON, {"error": "a sentence"}. An exception of the application is logged in one
    line and answered with status 500.

    Args:
        app: the application.
        address: where to listen.
        ready: called when the application has started.
    """
    from .connections import Server  # uvicorn may not be installed

    server = Server(app, max_connections=_connection_limit(), ready=ready)
    server.run(sockets=[address.sock])


def _connection_limit() -> int:
    """How many connections the limit of open files permits, at most `MAX_CONNECTIONS`."""
    try:
        import resource
    except ImportError:  # on Windows
        return MAX_CONNECTIONS // 2
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(files - RESERVED_FILES, files // 2))
