"""From where the service may be used, and what browsers may do with its answers: an ASGI wrapper."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, RedirectResponse, Response

from .metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; form-action 'self'; base-uri 'self'; "
    "object-src 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
NO_HOST = ("/healthz", "/readyz", "/metrics")  # asked for by address, by balancers and Prometheus
DOCS = {"Content-Security-Policy": f"{POLICY}; style-src 'self' 'unsafe-inline'"}  # Swagger UI sets styles


class Guard:
    """Refuses foreign host names (DNS rebinding), and requests from other sites (CSRF).

    Every answer gets an X-Request-ID and headers for browsers, such as a content security policy that keeps the page
    from loading anything from elsewhere.

    Args:
        app: the service.
        metrics: counts the answers.
        hosts: allowed values of the Host header, without the port; None for any.
        origin: scheme and host at which browsers see the service, if that is not the Host header.
        prefix: path below which browsers see the service, such as /toon; a proxy may remove it from requests or not.
    """

    def __init__(
        self, app: Application, metrics: Metrics, hosts: Sequence[str] | None, origin: str = "", prefix: str = ""
    ) -> None:
        self.app, self.metrics, self.origin, self.prefix = app, metrics, origin, prefix
        self.host = re.compile(rf"({'|'.join(map(re.escape, hosts))})(:\d+)?" if hosts else ".*", re.IGNORECASE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        full_path = path if path.startswith(f"{self.prefix}/") else self.prefix + path
        scope = {**scope, "request_id": secrets.token_hex(8), "root_path": self.prefix, "path": full_path}
        headers = HEADERS | {"X-Request-ID": scope["request_id"]} | (DOCS if path.endswith("/docs") else {})
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.count_request(scope["method"], message["status"])
                names = {name for name, _ in message["headers"]}
                private = [] if b"cache-control" in names else [(b"cache-control", b"no-cache")]
                message["headers"] = [*message["headers"], *encoded, *private]
            await send(message)

        answer = self._refusal(scope)
        if not answer and path == self.prefix:
            answer = RedirectResponse(f"{path}/")
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Message) -> Response | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin", "")
        if not self.host.fullmatch(host) and not scope["path"].endswith(NO_HOST):
            return _error(400, "this service has another host name: start it with --public-url")
        if origin and origin != self.origin and origin.partition("://")[2] != host:
            return _error(403, "requests from other sites are not accepted")
        return None


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, {"Connection": "close"})
