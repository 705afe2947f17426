"""A local web server that fails on request, for the tests of downloads."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import random
import re
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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
    """What is wrong with a response.

    Attributes:
        status: sent instead of the file.
        drop: close the connection without a response.
        cut: offset in the file at which the connection is closed.
        stall: offset in the file at which nothing more is sent until the client gives up.
        until: ends the stall; the rest follows.
        extra_length: added to Content-Length.
        first: offset of the first byte sent, whatever range was requested.
        last: offset of the last byte sent, whatever range was requested.
        headers: in addition to the usual ones.
        then: called before the response is complete.
    """

    status: int | None = None
    drop: bool = False
    cut: int | None = None
    stall: int | None = None
    until: threading.Event | None = None
    extra_length: int = 0
    first: int | None = None
    last: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return " ".join(f"{key} {value}" for key, value in vars(self).items() if value != getattr(Fault, key, {}))


class Web(http.server.ThreadingHTTPServer):
    """Serves bytes under paths, and logs the requests.

    Attributes:
        files: the bytes by path.
        faults: one for each of the next requests; later requests succeed.
        ranges: whether Range is supported.
        compresses: when files are compressed: if "allowed" by the client, "always", or "" for never.
        framing: what marks the end of a body: "length", "chunked", or "close" of the connection.
        log: path and Range of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.faults: Iterator[Fault] = iter(())
        self.ranges = True
        self.compresses = ""
        self.framing = "length"
        self.log: list[tuple[str, str | None]] = []

    def put(self, path: str, data: bytes) -> str:
        """Adds or replaces a file; returns its URL."""
        self.files[path] = data
        return f"http://127.0.0.1:{self.server_port}{path}"

    def fail_next(self, *faults: Fault) -> None:
        """Applies one fault to each of the next requests, in this order."""
        self.faults = iter(faults)

    @property
    def requested(self) -> list[str | None]:
        """The Range of each request."""
        return [requested for _, requested in self.log]


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
        headers, start = {}, self._start()
        compresses = self.server.compresses
        if compresses == "always" or (compresses and "gzip" in self.headers["Accept-Encoding"]):
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
            headers["Content-Length"] = str(end - start + fault.extra_length)
        elif self.server.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        self._head(206 if partial else 200, headers | fault.headers)
        self._send(whole, start, end, fault)

    def _start(self) -> int | None:
        """First byte of the requested range; None for the whole file."""
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        return int(requested[1]) if requested and self.server.ranges else None

    def _send(self, whole: bytes, start: int, end: int, fault: Fault) -> None:
        pause = max(start, min(n for n in (fault.cut, fault.stall, end) if n is not None))
        self._chunk(whole[start:pause])
        fault.then()
        if fault.stall is not None and not fault.until:
            self.connection.recv(1)
        elif fault.cut is None:
            if fault.until:
                fault.until.wait(60)
            self._chunk(whole[pause:end])
            if self.server.framing == "chunked":
                self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        if data:
            chunked = self.server.framing == "chunked"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Runs a server, and removes the pauses between attempts."""
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


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(url: str, path: Path, checksum: str | None = None, kind: type[InputError] = InputError) -> str:
    """Runs a download that fails; returns its message, one line."""
    with pytest.raises(kind) as caught:
        download.fetch(url, path, checksum)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def until_written(part: Path, size: int, process: subprocess.Popen) -> None:
    """Waits until the process has written `size` bytes."""
    while not part.exists() or part.stat().st_size < size:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
