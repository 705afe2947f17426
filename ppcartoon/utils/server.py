"""Listening sockets and the HTTP server of the built-in web pages and services."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
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


def serve(
    app: ASGIApp,
    address: ListenAddress,
    *,
    trusted_proxies: Sequence[str] = (),
    max_connections: int | None = None,
    ready: Callable[[], None] | None = None,
    graceful: int = 1,
) -> None:
    """Serves an ASGI application by HTTP until Ctrl-C or SIGTERM.

    Clients that are idle, slow or too many do not keep it from others: `connections.Timeouts` says how long a client
    may take. Errors are answered with JSON, {"error": "a sentence"}. An exception of the application is logged in one
    line and answered with status 500.

    Args:
        app: the application.
        address: where to listen.
        trusted_proxies: addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
        max_connections: at the same time; more close the one that has been idle longest, or are answered with 503 if
            all have requests; None for what the limit of open files permits, at most 1000.
        ready: called when the application has started.
        graceful: seconds until requests in progress are cancelled at the end.

    Raises:
        InputError: a trusted proxy is not an address or network.
    """
    from .connections import Server  # uvicorn may not be installed

    server = Server(
        app,
        trusted_proxies=[_network(proxy) for proxy in trusted_proxies],
        max_connections=_connection_limit() if max_connections is None else max_connections,
        ready=ready,
        graceful=graceful,
    )
    server.run(sockets=[address.sock])


def _network(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address, strict=False))
    except ValueError as error:
        raise InputError(f"{address}: neither an IP address nor a network such as 10.0.0.0/8") from error


def _connection_limit() -> int:
    try:
        import resource
    except ImportError:  # on Windows
        return MAX_CONNECTIONS // 2
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(files - RESERVED_FILES, files // 2))
