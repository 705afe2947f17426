"""HTTP server on uvicorn that slow, idle, faulty or too many clients cannot keep busy."""

from __future__ import annotations

import functools
import json
import logging
import math
import socket
from asyncio import AbstractEventLoop, BaseTransport, get_running_loop
from collections.abc import Callable
from typing import Any, NamedTuple

import h11
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from ..errors import printable

QUEUE = 1024  # new connections that the system keeps until they are accepted
ACCEPTED = 128  # of them at a time
MAX_HEADERS = 1 << 15  # bytes of a request's line and headers
MIN_SPEED = 1024  # bytes of a body per second, on average
REPEAT = 60.0  # seconds until the same error of the event loop is logged again
log = logging.getLogger(__name__)


class Timeouts(NamedTuple):
    """How long a client may take, in seconds.

    Attributes:
        headers: for a request's line and headers, after it connected or got the last response.
        body: between two parts of a request's body.
        speed: for a body at any speed; slower than `MIN_SPEED` is too slow after that.
        response: between two parts of a response that it reads.
    """

    headers: float = 10
    body: float = 20
    speed: float = 30
    response: float = 60


TIMEOUTS = Timeouts()


class Connection(H11Protocol):
    """A connection that is closed when its client is too slow, or to make room for a new one while it has no request.

    Args:
        timeouts: of its client.
        max_connections: at most this many are open; another one is answered with 503 if all have requests.
        arguments: uvicorn's.
    """

    def __init__(self, timeouts: Timeouts, max_connections: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.timeouts, self.max_connections = timeouts, max_connections
        self._restart("headers")

    def _restart(self, waiting_for: str) -> None:
        """Starts the clock of what the server waits for."""
        self.waiting_for, self.received, self.moved = waiting_for, 0, 0
        self.since = self.progress = self.loop.time()

    def _waits_for(self) -> str:
        """What the client has to do next; "" if it is the app's turn."""
        if self.transport.get_write_buffer_size():
            return "response"
        if self.cycle is None or self.cycle.response_complete:
            return "headers"
        if self.cycle.more_body and not self.flow.read_paused and not self.cycle.waiting_for_100_continue:
            return "body"
        return ""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            idle = [other for other in self.connections if other is not self and other._waits_for() == "headers"]
            if idle:
                min(idle, key=lambda other: other.since)._abort()
        if len(self.connections) > self.max_connections:
            self.app = _full

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._restart("headers")
        super().on_response_complete()

    def close_if_late(self, now: float) -> None:
        """Closes the connection if its client exceeded a timeout; to be called often."""
        waiting_for = self._waits_for()
        if waiting_for != self.waiting_for:
            self._restart(waiting_for)
        moved = self.received if waiting_for == "body" else self.transport.get_write_buffer_size()
        if moved != self.moved:
            self.moved, self.progress = moved, now
        elapsed, silent = now - self.since, now - self.progress
        if waiting_for == "headers":
            if elapsed > self.timeouts.headers:
                self._abort()
        elif waiting_for == "response":
            if silent > self.timeouts.response:
                self._abort()
        elif waiting_for == "body":
            slow = elapsed > self.timeouts.speed and self.received < elapsed * MIN_SPEED
            if slow or silent > self.timeouts.body:
                self._refuse(408, "The request arrived too slowly.")

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "This is not a valid HTTP request, or its headers are too large.")

    def _refuse(self, status: int, sentence: str) -> None:
        """Answers instead of the app, unless it has begun to answer, and closes the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers, body = _error(sentence)
            lines = [b"HTTP/1.1 %d %s" % (status, STATUS_PHRASES[status]), *(b": ".join(header) for header in headers)]
            self.transport.write(b"\r\n".join([*lines, b"", body]))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _abort(self) -> None:
        self.connections.discard(self)  # the system closes it a little later
        self.transport.abort()


class Server(uvicorn.Server):
    """Runs an application as `server.serve` describes; `run(sockets=[...])` starts it, and `should_exit` ends it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_connections: int,
        ready: Callable[[], None] = lambda: None,
        graceful: int = 1,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.ready = ready
        self._logged, self._logged_at = "", -math.inf
        config = uvicorn.Config(
            functools.partial(_answer_errors, app),
            interface="asgi3",
            http=functools.partial(Connection, timeouts, max_connections),
            ws="none",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED,
            timeout_keep_alive=timeouts.headers,
            timeout_graceful_shutdown=graceful,
            h11_max_incomplete_event_size=MAX_HEADERS,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        get_running_loop().set_exception_handler(self._log_error)
        await super().startup(sockets)
        for sock in sockets or []:
            sock.listen(QUEUE)  # asyncio has one number for both, and would log as many errors of accept()
        self.ready()

    async def on_tick(self, counter: int) -> bool:
        now = get_running_loop().time()
        for connection in list(self.server_state.connections):
            connection.close_if_late(now)
        return await super().on_tick(counter)

    def handle_exit(self, *_: object) -> None:
        self.should_exit = True  # uvicorn would also raise the signal again after the end

    def _log_error(self, loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        """Logs an error of the event loop in one line; asyncio repeats those of accept() many times a second."""
        message = context["message"]
        if message != self._logged or loop.time() - self._logged_at >= REPEAT:
            self._logged, self._logged_at = message, loop.time()
            log.error(printable(f"{message}: {context.get('exception', '')}"))


async def _answer_errors(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Logs an exception of the app in one line and answers with 500."""
    if scope["type"] != "http":
        return await app(scope, receive, send)
    started = False

    async def note_start(message: Message) -> None:
        nonlocal started
        started = True
        await send(message)

    try:
        await app(scope, receive, note_start)
    except ClientDisconnect:
        pass
    except Exception as error:
        log.error(printable(f"{scope['method']} {scope['path']}: {type(error).__name__}: {error}"))
        if not started:
            await _answer(send, 500, "Something went wrong; the log of the server says more.")


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, 503, "Too many visitors at the moment; please try again soon.")


async def _answer(send: Send, status: int, sentence: str) -> None:
    headers, body = _error(sentence)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _error(sentence: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = json.dumps({"error": sentence}).encode()
    length = str(len(body)).encode()
    return [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")], body
