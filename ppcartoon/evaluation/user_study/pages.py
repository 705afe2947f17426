"""What a voter sees: a start, one set after the other, thanks; plain forms, which need no script."""

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

LARGEST = 1600  # pixels a side that a page shows
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

    A picture is named by a token that this voter alone has for it, and that tells nothing of the method. A vote is
    such a token, so that no page of others can send one. No path in a request opens a file.

    Args:
        material: what is voted on.
        votes: where the votes go.
        limit: sets for each voter, at most.
    """

    def __init__(self, material: Material, votes: Votes, limit: int) -> None:
        self.material, self.votes = material, votes
        self.limit = min(limit, len(material.photos) * len(material.outputs))
        self._files = {name: Path(__file__).with_name("static").joinpath(name).read_bytes() for name in STATIC}
        self._png = functools.lru_cache(64)(_png)

    def _token(self, voter: str, of: Set, method: str) -> str:
        message = f"{voter}/{of.id}/{method}".encode()
        return hmac.new(self.votes.secret, message, hashlib.sha256).hexdigest()[:32]

    def _meanings(self, voter: str) -> dict[str, tuple[Set, str]]:
        """Set and method, "" for the photo, of each token that the voter has seen."""
        return {
            self._token(voter, each, method): (each, method)
            for each in self.votes.turns(voter)
            for method in ("", *self.material.outputs[each.style])
        }

    def index(self) -> str:
        voter = session.get("voter")
        if voter is None:
            return render_template("start.html", limit=self.limit, refused="started" in request.args)
        turn = self.votes.turn(voter, self.limit)
        if turn is None:
            return render_template("thanks.html")
        height, width = self.material.sizes[turn.photo]
        return render_template(
            "vote.html",
            photo=self._token(voter, turn, ""),
            choices=sorted(self._token(voter, turn, method) for method in self.material.outputs[turn.style]),
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
        of, method = self._meanings(session.get("voter", "")).get(request.form.get("choice", ""), (None, ""))
        if not method:
            abort(400, "This choice is none of yours.")
        self.votes.cast(session["voter"], of, method)
        return redirect("/", 303)

    def image(self, token: str) -> Response:
        of, method = self._meanings(session.get("voter", "")).get(token) or abort(404)
        data = self._png(self.material.file(of.style, of.photo, method))
        return Response(data, mimetype="image/png", headers={"Cache-Control": "private, max-age=86400, immutable"})

    def static(self, name: str) -> Response:
        return Response(self._files[name], mimetype=STATIC[name], headers={"Cache-Control": "max-age=3600"})


def _png(file: Path) -> bytes:
    """An image without metadata, in one format whatever the file's is; ten times as fast as by Pillow."""
    rgb, alpha = images.shrink(images.read(file), LARGEST)
    bgr = rgb[..., ::-1]
    return cv2.imencode(".png", np.dstack([bgr] if alpha is None else [bgr, alpha]), PNG)[1].tobytes()


def create_app(material: Material, votes: Votes, limit: int, hosts: list[str] | None = None) -> Flask:
    """The pages as a WSGI application.

    Args:
        material: what is voted on.
        votes: where the votes go.
        limit: sets for each voter, at most.
        hosts: names by which this machine is addressed; None for any.
    """
    app, pages = Flask(__name__, static_folder=None), Pages(material, votes, limit)
    app.secret_key = votes.secret
    app.config.update(
        MAX_CONTENT_LENGTH=10_000,  # bytes
        SESSION_COOKIE_NAME=f"study-{hashlib.sha256(votes.secret).hexdigest()[:8]}",  # hosts share theirs among ports
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.add_url_rule("/", view_func=pages.index)
    app.add_url_rule("/start", view_func=pages.start, methods=["POST"])
    app.add_url_rule("/vote", view_func=pages.vote, methods=["POST"])
    app.add_url_rule("/image/<token>", view_func=pages.image)
    app.add_url_rule(f"/<any({', '.join(map(repr, STATIC))}):name>", view_func=pages.static)
    app.register_error_handler(HTTPException, lambda error: _trouble(error.code, error.name, error.description))
    for failure in (sqlite3.Error, InputError):  # a full disk, say, or an image that has gone
        app.register_error_handler(failure, functools.partial(_fail, app))
    if hosts:  # Flask's TRUSTED_HOSTS takes no IPv6
        app.before_request(functools.partial(_admit, re.compile(rf"({'|'.join(map(re.escape, hosts))})(:\d+)?")))
    app.after_request(_guard)
    return app


def _admit(host: re.Pattern) -> None:
    """Refuses pages of others that have made their name mean this machine (DNS rebinding)."""
    if not host.fullmatch(request.host):
        abort(400, "This page is not found under that name.")


def _guard(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _fail(app: Flask, error: Exception) -> tuple[str, int]:
    app.logger.error("%s: %s", request.path, error)
    return _trouble(503, "Something is wrong here", "Nothing was kept just now. Please try again in a moment.")


def _trouble(code: int | None, title: str, text: str | None) -> tuple[str, int]:
    return render_template("trouble.html", title=title, text=text), code or 500
