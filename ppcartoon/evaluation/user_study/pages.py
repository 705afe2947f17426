"""The web pages of a study: the start, one page per set, and the end; plain forms that need no script."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import re
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl

import anyio.to_thread
import cv2
import jinja2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ... import images
from ...data.image_folder import PNG
from ...errors import InputError, printable
from .material import Material
from .votes import Set, Votes

MAX_SIDE = 1600  # pixels; larger images are shown reduced
MAX_FORM = 10_000  # bytes
THREADS = 8  # requests at the same time, as each may read a large image
COOKIE_AGE = 31 * 24 * 3600  # seconds
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STATIC = {"study.css": "text/css", "study.js": "text/javascript"}
TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True)
log = logging.getLogger(__name__)


class Pages:
    """The pages of a study.

    A signed cookie has the number of the voter. Images are addressed by tokens that differ between voters and do not
    reveal the method. A vote is such a token, so other websites cannot forge one. No path in a request opens a file.

    Args:
        material: the images of the study.
        votes: stores the votes.
        limit: maximum number of sets per voter.
    """

    def __init__(self, material: Material, votes: Votes, limit: int) -> None:
        self.material, self.votes = material, votes
        self.limit = min(limit, len(material.photos) * len(material.outputs))
        self.cookie = f"study-{hashlib.sha256(votes.secret).hexdigest()[:8]}"  # ports of a host share cookies
        self._png = functools.lru_cache(64)(_png)

    def _sign(self, text: str) -> str:
        return hmac.new(self.votes.secret, text.encode(), hashlib.sha256).hexdigest()[:32]

    def _cookie_of(self, voter: str) -> str:
        return f"{voter}.{self._sign(f'cookie/{voter}')}"

    def _voter(self, request: Request) -> str | None:
        cookie = request.cookies.get(self.cookie, "")
        voter = cookie.partition(".")[0]
        return voter if hmac.compare_digest(cookie.encode(), self._cookie_of(voter).encode()) else None

    def _token(self, voter: str, shown: Set, method: str) -> str:
        return self._sign(f"{voter}/{shown.id}/{method}")

    def _known_tokens(self, voter: str) -> dict[str, tuple[Set, str]]:
        """Set and method by token, for all images that the voter was shown; the method of the photo is ""."""
        return {
            self._token(voter, shown, method): (shown, method)
            for shown in self.votes.shown_sets(voter)
            for method in ("", *self.material.outputs[shown.style])
        }

    def index(self, request: Request) -> Response:
        voter = self._voter(request)
        if voter is None:
            return _page("start.html", limit=self.limit, rejected="started" in request.query_params)
        current = self.votes.current_set(voter, self.limit)
        if current is None:
            return _page("thanks.html")
        height, width = self.material.sizes[current.photo]
        return _page(
            "vote.html",
            photo=self._token(voter, current, ""),
            choices=sorted(self._token(voter, current, method) for method in self.material.outputs[current.style]),
            width=width,
            height=height,
            number=self.votes.count(voter) + 1,
            limit=self.limit,
        )

    def start(self, request: Request) -> Response:
        response = RedirectResponse("/?started", 303, HEADERS)
        if self._voter(request) is None:
            cookie = self._cookie_of(secrets.token_hex(16))
            response.set_cookie(self.cookie, cookie, COOKIE_AGE, httponly=True, samesite="lax")
        return response

    async def vote(self, request: Request) -> Response:
        form = dict(parse_qsl((await _body(request)).decode("latin-1")))
        return await run_in_threadpool(self._vote, self._voter(request) or "", form.get("choice", ""))

    def _vote(self, voter: str, choice: str) -> Response:
        shown, method = self._known_tokens(voter).get(choice, (None, ""))
        if not method:
            raise HTTPException(400, "You were not shown this image.")
        self.votes.cast(voter, shown, method)
        return RedirectResponse("/", 303, HEADERS)

    def image(self, request: Request) -> Response:
        known = self._known_tokens(self._voter(request) or "").get(request.path_params["token"])
        if known is None:
            raise HTTPException(404)
        shown, method = known
        data = self._png(self.material.file(shown.style, shown.photo, method))
        headers = {**HEADERS, "Cache-Control": "private, max-age=86400, immutable"}
        return Response(data, headers=headers, media_type="image/png")


class HostCheck:
    """Rejects other host names, which websites could point to this machine (DNS rebinding).

    Args:
        app: answers the other requests.
        hosts: allowed values of the Host header, without port. Starlette's own check does not support IPv6.
    """

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self.app, self.hosts = app, re.compile(rf"({'|'.join(map(re.escape, hosts))})(:\d+)?")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and not self.hosts.fullmatch(Headers(scope=scope).get("host", "")):
            app = _error_page(HTTPStatus.BAD_REQUEST, "This page is not available under that host name.")
        await app(scope, receive, send)


def _png(file: Path) -> bytes:
    """A file as PNG without metadata, by OpenCV, which is ten times as fast as Pillow."""
    rgb, alpha = images.shrink(images.read(file), MAX_SIDE)
    bgr = rgb[..., ::-1]
    return cv2.imencode(".png", np.dstack([bgr] if alpha is None else [bgr, alpha]), PNG)[1].tobytes()


def _static(name: str) -> Route:
    data = Path(__file__).with_name("static").joinpath(name).read_bytes()
    headers = {**HEADERS, "Cache-Control": "max-age=3600"}
    return Route(f"/{name}", lambda _: Response(data, headers=headers, media_type=STATIC[name]))


def create_app(material: Material, votes: Votes, limit: int, hosts: list[str] | None = None) -> Starlette:
    """The pages as an ASGI application.

    Args:
        material: the images of the study.
        votes: stores the votes.
        limit: maximum number of sets per voter.
        hosts: allowed values of the Host header, without port; None for any.
    """
    pages = Pages(material, votes, limit)
    app = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/start", pages.start, methods=["POST"]),
            Route("/vote", pages.vote, methods=["POST"]),
            Route("/image/{token}", pages.image),
            *map(_static, STATIC),
        ],
        lifespan=_few_threads,
        middleware=[Middleware(HostCheck, hosts)] if hosts else [],
        exception_handlers={
            HTTPException: _http_error,
            sqlite3.Error: _not_saved,  # for example a full disk
            InputError: _not_saved,  # for example a deleted image
            Exception: _failure,
        },
    )
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def _few_threads(app: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise HTTPException(413)
    return body


def _page(template: str, status: int = 200, **values: object) -> Response:
    return HTMLResponse(TEMPLATES.get_template(template).render(values), status, HEADERS)


def _error_page(status: HTTPStatus, text: str, title: str = "") -> Response:
    return _page("error.html", status, title=title or status.phrase, text=text)


def _http_error(request: Request, error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    return _error_page(status, status.description if error.detail == status.phrase else error.detail)


def _not_saved(request: Request, error: Exception) -> Response:
    log.error(printable(f"{request.scope['path']}: {error}"))
    text = "Your vote was not saved. Please try again in a moment."
    return _error_page(HTTPStatus.SERVICE_UNAVAILABLE, text, "Something went wrong")


def _failure(request: Request, error: Exception) -> Response:  # the server logs the error
    return _error_page(HTTPStatus.INTERNAL_SERVER_ERROR, "Please try again in a moment.", "Something went wrong")
