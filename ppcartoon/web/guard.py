"""What Gradio would do, and must not here: as ASGI around its application, and by its environment."""

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
READ = re.compile(  # what the page itself asks for; Gradio's descriptions, monitoring, proxy and editor stay shut
    r"/|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static)/.+"
    rf"|{API}(heartbeat/\w+|queue/data|upload_progress)"
)
UPLOAD = API + "upload"
WRITTEN = (UPLOAD, *(API + name for name in ("queue/join", "run/predict", "cancel")))
SMALL = 1 << 16  # bytes of a request without a file, and of what surrounds one
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; form-action 'self'; "
    "base-uri 'self'; object-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
log = logging.getLogger(__name__)
TURN = {  # of Gradio and its libraries, which read them when they are imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}


def prepare(folder: Path) -> None:
    """To be called before Gradio is imported: no telemetry, and all its files go to `folder`."""
    os.environ.update(TURN, GRADIO_TEMP_DIR=str(folder))


class Guard:
    """Lets through what the page asks for, and refuses all else with a sentence.

    Refused are hosts that are not this machine's (DNS rebinding), requests from pages of others, all addresses that
    the page does not need, files that were not uploaded here (paths of this machine, and URLs, which Gradio would
    fetch), and bodies that are too large, before they are read. The page may load nothing from elsewhere.

    Args:
        app: Gradio's application.
        place: where it is served.
        folder: the only one whose files are given out.
        largest: bytes of an uploaded file.
    """

    def __init__(self, app: Application, place: ListenAddress, folder: Path, largest: int) -> None:
        self.app, self.folder, self.largest = app, folder, largest
        self.host = re.compile(rf"({'|'.join(map(re.escape, place.names))})(:\d+)?" if place.names else ".*")

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
                await _drain(receive, 4 * self.largest)
            return await _answer(send, *refusal)

        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        except Exception as error:  # of a request that the page does not make
            log.error("%s: %s", printable(scope["path"]), printable(f"{type(error).__name__}: {error}"))
            if not begun:
                await _answer(send, 500, "This request could not be answered.")

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin, path = headers.get("host", ""), headers.get("origin"), scope["path"]
        if not self.host.fullmatch(host):
            return 400, "This page is not found under that name."
        if origin and origin.partition("://")[2] != host:
            return 403, "This page takes nothing from pages of others."
        if scope["method"] in ("GET", "HEAD"):
            prefix = API + "file="
            ours = self._ours(path.removeprefix(prefix)) if path.startswith(prefix) else READ.fullmatch(path)
            return None if ours else (404, "There is nothing here.")
        if scope["method"] != "POST" or path not in WRITTEN:
            return 404, "There is nothing here."
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:  # which would override it
            return 411, "A request has to tell its length."
        if int(length) > SMALL + (self.largest if path == UPLOAD else 0):
            return 413, f"The file is too large: at most {self.largest >> 20} MB are taken."
        return None

    def _ours(self, path: object) -> bool:
        """Whether it is a file in our folder, whatever links and dots are in it."""
        return isinstance(path, str) and "\0" not in path and Path(path).resolve().is_relative_to(self.folder)

    async def _read(self, receive: Receive) -> tuple[Receive, tuple[int, str] | None]:
        """Reads a small body, and looks at the files that it names; gives what gives the body again."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            ours = all(map(self._ours, _paths(json.loads(body))))
        except (ValueError, RecursionError):
            ours = False
        first = iter([{"type": "http.request", "body": body}])

        async def again() -> Message:
            return next(first, None) or await receive()

        return again, None if ours else (403, "This is no file that was uploaded here.")


def _paths(value: object) -> Iterator[object]:
    """What stands under "path" anywhere in a JSON value."""
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key == "path" and each is not None)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)


async def _drain(receive: Receive, most: int) -> None:
    """Takes what a refused request still sends, within bounds: its sender may read no answer before."""
    more = True
    while more and most > 0:
        message = await receive()
        most, more = most - len(message.get("body", b"")), message.get("more_body", False)


async def _answer(send: Send, status: int, text: str) -> None:
    length = str(len(text.encode()))
    headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": length, "Connection": "close", **HEADERS}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": text.encode()})
