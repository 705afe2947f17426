"""A web server on this machine, with the faults of others."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import random
import re
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest

from ppcartoon.data import download
from ppcartoon.errors import InputError

DATA, OTHER = (random.Random(seed).randbytes(300_000) for seed in (1, 2))
SHA256, MD5 = (f"{kind}:{hashlib.new(kind, DATA).hexdigest()}" for kind in ("sha256", "md5"))
WRONG = "sha256:" + "0" * 64
CUT, STALL = 200_000, 150_000


@dataclass(repr=False)
class Fault:
    """What is wrong with an answer.

    Attributes:
        status: what it is instead of a file.
        drop: the connection breaks off without an answer.
        cut: byte of the file before which the connection breaks off.
        stall: byte of the file before which nothing comes any more, until the client gives up.
        until: ends the stall; the rest follows.
        announced: by how much Content-Length is too large.
        first: byte that the part begins with, whatever was asked for.
        last: byte that the part ends with, whatever was asked for.
        headers: besides the usual ones.
        then: called before the client has got all.
    """

    status: int | None = None
    drop: bool = False
    cut: int | None = None
    stall: int | None = None
    until: threading.Event | None = None
    announced: int = 0
    first: int | None = None
    last: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return " ".join(f"{key} {value}" for key, value in vars(self).items() if value != getattr(Fault, key, {}))


class Web(http.server.ThreadingHTTPServer):
    """Serves bytes under paths, and what was asked for is in `log`.

    Attributes:
        files: the bytes by path.
        faults: for the requests to come, one each; after them, all is well.
        version: the header that tells two versions of a file apart, ETag or Last-Modified; None for neither.
        ranges: whether a part of a file can be had.
        conditions: whether If-Range is heeded.
        squeezes: when files come compressed: if it is "allowed" by the client, "always", or "" for never.
        framing: how the end of a body is told: "length", "chunked", or "close" of the connection.
        log: path and Range of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.faults: Iterator[Fault] = iter(())
        self.version: str | None = "ETag"
        self.ranges = self.conditions = True
        self.squeezes = ""
        self.framing = "length"
        self.log: list[tuple[str, str | None]] = []

    def put(self, path: str, data: bytes) -> str:
        """Makes or changes a file, and gives its URL."""
        self.files[path] = data
        return f"http://127.0.0.1:{self.server_port}{path}"

    def will(self, *faults: Fault) -> None:
        """Does wrong with the next requests, in this order, and then no more."""
        self.faults = iter(faults)

    @property
    def asked(self) -> list[str | None]:
        """The Range of each request."""
        return [asked for _, asked in self.log]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        fault, body = next(self.server.faults, Fault()), self.server.files.get(self.path)
        self.server.log.append((self.path, self.headers["Range"]))
        with suppress(ConnectionError):
            if fault.status or fault.drop or body is None:
                fault.then()
                if not fault.drop:
                    self._refuse(fault.status or 404, fault.headers)
            else:
                self._serve(body, fault)

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self._head(status, {"Content-Length": "5", **headers})
        self.wfile.write(b"sorry")

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _serve(self, whole: bytes, fault: Fault) -> None:
        headers, start = self._version(whole), self._start(whole)
        if self.server.squeezes == "always" or (self.server.squeezes and "gzip" in self.headers["Accept-Encoding"]):
            whole, headers["Content-Encoding"] = gzip.compress(whole), "gzip"
        end = len(whole)
        if start and start >= end:
            return self._refuse(416, {"Content-Range": f"bytes */{end}"})
        partial = any(place is not None for place in (start, fault.first, fault.last))
        start = fault.first if fault.first is not None else start or 0
        end = end if fault.last is None else fault.last + 1
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(whole)}"
        if self.server.framing == "length":
            headers["Content-Length"] = str(end - start + fault.announced)
        elif self.server.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        self._head(206 if partial else 200, headers | fault.headers)
        self._send(whole, start, end, fault)

    def _version(self, whole: bytes) -> dict[str, str]:
        tag, date = f'"{hashlib.md5(whole).hexdigest()}"', formatdate(zlib.crc32(whole), usegmt=True)
        return {
            name: value for name, value in {"ETag": tag, "Last-Modified": date}.items() if name == self.server.version
        }

    def _start(self, whole: bytes) -> int | None:
        """Where the rest begins that is asked for; None if all is to be sent."""
        asked, condition = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or ""), self.headers["If-Range"]
        changed = self.server.conditions and condition and condition not in self._version(whole).values()
        return int(asked[1]) if asked and self.server.ranges and not changed else None

    def _send(self, whole: bytes, start: int, end: int, fault: Fault) -> None:
        pause = max(start, min(n for n in (fault.cut, fault.stall, end) if n is not None))
        self._piece(whole[start:pause])
        fault.then()
        if fault.stall is not None and not fault.until:
            self.connection.recv(1)
        elif fault.cut is None:
            if fault.until:
                fault.until.wait(60)
            self._piece(whole[pause:end])
            if self.server.framing == "chunked":
                self.wfile.write(b"0\r\n\r\n")

    def _piece(self, data: bytes) -> None:
        if data:
            chunked = self.server.framing == "chunked"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server while this lasts, and downloads that make no pauses."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "TIMEOUT", (5, 5))
    with Web() as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(url: str, path: Path, checksum: str | None = None, kind: type[InputError] = InputError) -> str:
    """The one line that says why nothing came."""
    with pytest.raises(kind) as caught:
        download.fetch(url, path, checksum)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def until_written(part: Path, size: int, process: subprocess.Popen) -> None:
    """Waits for so many bytes, which the process is to write."""
    while not part.exists() or part.stat().st_size < size:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
