"""Restricts what Gradio serves and sends: an ASGI wrapper around its application, and environment variables."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from ..errors import printable
from ..utils.server import ListenAddress

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api/"
GET_PATHS = re.compile(  # those that the page needs; Gradio's API description, monitoring, proxy and editor are blocked
    r"/|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static)/.+"
    rf"|{API}(heartbeat/\w+|queue/data|upload_progress)"
)
UPLOAD = API + "upload"
POST_PATHS = (UPLOAD, *(API + name for name in ("queue/join", "run/predict", "cancel")))
SMALL = 1 << 16  # bytes of a request without a file, and of the overhead of an upload
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; form-action 'self'; "
    "base-uri 'self'; object-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
log = logging.getLogger(__name__)
ENVIRONMENT = {  # Gradio and its libraries read it when they are imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}


def prepare_environment(folder: Path) -> None:
    """Disables Gradio's telemetry and moves its files to `folder`; call this before Gradio is imported."""
    os.environ.update(ENVIRONMENT, GRADIO_TEMP_DIR=str(folder))


class Guard:
    """Passes on the requests that the page makes, and refuses all others with a sentence.

    Refused are foreign host names (DNS rebinding), requests from other sites (CSRF), paths that the page does not need,
    files that were not uploaded here (local paths, and URLs, which Gradio would fetch), and bodies that are too large,
    before they are read. A content security policy keeps the page from loading anything from elsewhere.

    Args:
        app: Gradio's application.
        address: where it is served.
        folder: the only folder whose files are served.
        max_upload: bytes of an uploaded file.
    """

    def __init__(self, app: Application, address: ListenAddress, folder: Path, max_upload: int) -> None:
        self.app, self.folder, self.max_upload = app, folder, max_upload
        names = address.names
        self.host = re.compile(rf"({'|'.join(map(re.escape, names))})(:\d+)?" if names else ".*")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        refusal = self._refusal(scope)
        if not refusal and scope["method"] == "POST" and scope["path"] != UPLOAD:
            receive, refusal = await self._read(receive)
        if refusal:
            if refusal[0] == 413:
                await _drain(receive, 4 * self.max_upload)
            return await _answer(send, *refusal)

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:  # Gradio raises errors on requests that the page does not make
            log.error("%s: %s", printable(scope["path"]), printable(f"{type(error).__name__}: {error}"))
            if not started:
                await _answer(send, 500, "This request could not be answered.")

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin, path = headers.get("host", ""), headers.get("origin"), scope["path"]
        if not self.host.fullmatch(host):
            return 400, "This page has another host name."
        if origin and origin.partition("://")[2] != host:
            return 403, "This page does not accept requests from other sites."
        if scope["method"] in ("GET", "HEAD"):
            prefix = API + "file="
            if path.startswith(prefix):
                allowed = self._in_folder(path.removeprefix(prefix))
            else:
                allowed = bool(GET_PATHS.fullmatch(path))
            return None if allowed else (404, "Not found.")
        if scope["method"] != "POST" or path not in POST_PATHS:
            return 404, "Not found."
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:  # which would override the length
            return 411, "A request needs a Content-Length, and no Transfer-Encoding."
        if int(length) > SMALL + (self.max_upload if path == UPLOAD else 0):
            return 413, f"The file is too large: at most {self.max_upload >> 20} MB are allowed."
        return None

    def _in_folder(self, path: object) -> bool:
        """Whether a path is inside the folder, also after links and dots are resolved."""
        if not isinstance(path, str) or "\0" in path or not Path(path).is_relative_to(self.folder):
            return False  # not even looked up: on Windows a path may name another machine
        return Path(path).resolve().is_relative_to(self.folder)

    async def _read(self, receive: Receive) -> tuple[Receive, tuple[int, str] | None]:
        """Reads a small body and checks the files that it names; returns a `receive` that repeats it, and a refusal."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            allowed = all(map(self._in_folder, _paths(json.loads(body))))
        except (ValueError, RecursionError):
            allowed = False
        first = iter([{"type": "http.request", "body": body}])

        async def repeat() -> Message:
            return next(first, None) or await receive()

        return repeat, None if allowed else (403, "This file was not uploaded here.")


def _paths(value: object) -> Iterator[object]:
    """All values of the key "path" anywhere in a JSON value."""
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "path" and item is not None)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)


async def _drain(receive: Receive, limit: int) -> None:
    """Reads the rest of a refused request, up to `limit` bytes, as clients may read no answer before they sent it."""
    more = True
    while more and limit > 0:
        message = await receive()
        limit, more = limit - len(message.get("body", b"")), message.get("more_body", False)


async def _answer(send: Send, status: int, text: str) -> None:
    length = str(len(text.encode()))
    headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": length, "Connection": "close", **HEADERS}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": text.encode()})
