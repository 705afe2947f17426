"""The web pages of a study: the start, one page per set, and the end; plain forms that need no script."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import secrets
import sqlite3
from pathlib import Path

import cv2
import numpy as np
from flask import Flask, Response, abort, redirect, render_template, request, session
from werkzeug.exceptions import HTTPException

from ... import images
from ...data.image_folder import PNG
from ...errors import InputError
from .material import Material
from .votes import Set, Votes

MAX_SIDE = 1600  # pixels; larger images are shown reduced
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STATIC = {"study.css": "text/css", "study.js": "text/javascript"}


class Pages:
    """The pages of a study.

    Images are addressed by tokens that differ between voters and do not reveal the method. A vote is such a token, so
    other websites cannot forge one. No path in a request opens a file.

    Args:
        material: the images of the study.
        votes: stores the votes.
        limit: maximum number of sets per voter.
    """

    def __init__(self, material: Material, votes: Votes, limit: int) -> None:
        self.material, self.votes = material, votes
        self.limit = min(limit, len(material.photos) * len(material.outputs))
        self._files = {name: Path(__file__).with_name("static").joinpath(name).read_bytes() for name in STATIC}
        self._png = functools.lru_cache(64)(_png)

    def _token(self, voter: str, shown: Set, method: str) -> str:
        message = f"{voter}/{shown.id}/{method}".encode()
        return hmac.new(self.votes.secret, message, hashlib.sha256).hexdigest()[:32]

    def _known_tokens(self, voter: str) -> dict[str, tuple[Set, str]]:
        """Set and method by token, for all images that the voter was shown; the method of the photo is ""."""
        return {
            self._token(voter, shown, method): (shown, method)
            for shown in self.votes.shown_sets(voter)
            for method in ("", *self.material.outputs[shown.style])
        }

    def index(self) -> str:
        voter = session.get("voter")
        if voter is None:
            return render_template("start.html", limit=self.limit, rejected="started" in request.args)
        current = self.votes.current_set(voter, self.limit)
        if current is None:
            return render_template("thanks.html")
        height, width = self.material.sizes[current.photo]
        return render_template(
            "vote.html",
            photo=self._token(voter, current, ""),
            choices=sorted(self._token(voter, current, method) for method in self.material.outputs[current.style]),
            width=width,
            height=height,
            number=self.votes.count(voter) + 1,
            limit=self.limit,
        )

    def start(self) -> Response:
        session.setdefault("voter", secrets.token_hex(16))
        session.permanent = True
        return redirect("/?started", 303)

    def vote(self) -> Response:
        shown, method = self._known_tokens(session.get("voter", "")).get(request.form.get("choice", ""), (None, ""))
        if not method:
            abort(400, "You were not shown this image.")
        self.votes.cast(session["voter"], shown, method)
        return redirect("/", 303)

    def image(self, token: str) -> Response:
        shown, method = self._known_tokens(session.get("voter", "")).get(token) or abort(404)
        data = self._png(self.material.file(shown.style, shown.photo, method))
        return Response(data, mimetype="image/png", headers={"Cache-Control": "private, max-age=86400, immutable"})

    def static(self, name: str) -> Response:
        return Response(self._files[name], mimetype=STATIC[name], headers={"Cache-Control": "max-age=3600"})


def _png(file: Path) -> bytes:
    """A file as PNG without metadata, by OpenCV, which is ten times as fast as Pillow."""
    rgb, alpha = images.shrink(images.read(file), MAX_SIDE)
    bgr = rgb[..., ::-1]
    return cv2.imencode(".png", np.dstack([bgr] if alpha is None else [bgr, alpha]), PNG)[1].tobytes()


def create_app(material: Material, votes: Votes, limit: int, hosts: list[str] | None = None) -> Flask:
    """The pages as a WSGI application.

    Args:
        material: the images of the study.
        votes: stores the votes.
        limit: maximum number of sets per voter.
        hosts: allowed values of the Host header, without port; None for any.
    """
    app, pages = Flask(__name__, static_folder=None), Pages(material, votes, limit)
    app.secret_key = votes.secret
    app.config.update(
        MAX_CONTENT_LENGTH=10_000,  # bytes
        SESSION_COOKIE_NAME=f"study-{hashlib.sha256(votes.secret).hexdigest()[:8]}",  # ports of a host share cookies
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.add_url_rule("/", view_func=pages.index)
    app.add_url_rule("/start", view_func=pages.start, methods=["POST"])
    app.add_url_rule("/vote", view_func=pages.vote, methods=["POST"])
    app.add_url_rule("/image/<token>", view_func=pages.image)
    app.add_url_rule(f"/<any({', '.join(map(repr, STATIC))}):name>", view_func=pages.static)
    app.register_error_handler(HTTPException, lambda error: _error_page(error.code, error.name, error.description))
    for failure in (sqlite3.Error, InputError):  # for example a full disk or a deleted image
        app.register_error_handler(failure, functools.partial(_server_error, app))
    if hosts:  # Flask's TRUSTED_HOSTS does not support IPv6
        app.before_request(functools.partial(_check_host, re.compile(rf"({'|'.join(map(re.escape, hosts))})(:\d+)?")))
    app.after_request(_add_headers)
    return app


def _check_host(host: re.Pattern) -> None:
    """Rejects other host names, which websites could point to this machine (DNS rebinding)."""
    if not host.fullmatch(request.host):
        abort(400, "This page is not available under that host name.")


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _server_error(app: Flask, error: Exception) -> tuple[str, int]:
    app.logger.error("%s: %s", request.path, error)
    return _error_page(503, "Something went wrong", "Your vote was not saved. Please try again in a moment.")


def _error_page(code: int | None, title: str, text: str | None) -> tuple[str, int]:
    return render_template("error.html", title=title, text=text), code or 500
