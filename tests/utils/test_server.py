"""The HTTP server: slow, idle, faulty and too many clients; errors in the log; proxies; its end."""

import asyncio
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from ppcartoon.utils import server as server_module
from ppcartoon.utils.connections import Server, Timeouts
from ppcartoon.utils.server import listening
from tests.helpers.training_runs import ROOT

pytestmark = pytest.mark.slow

PATIENT = Timeouts(30, 30, 30, 30)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
TOO_SLOW = b'{"error": "The request arrived too slowly."}'


def post(length):
    return f"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


class App:
    """Paths that read slowly, fail, wait or answer without end."""

    def __init__(self):
        self.aborted = threading.Event()
        self.paths = (self.length, self.read_late, self.fail, self.fail_late, self.idle_events, self.endless, self.who)
        routes = [Route(f"/{path.__name__}", path, methods=["GET", "POST"]) for path in self.paths]
        self.application = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here")), *routes])

    async def length(self, request):
        try:
            return JSONResponse(len(await request.body()))
        except ClientDisconnect:
            self.aborted.set()
            raise

    async def read_late(self, request):
        await asyncio.sleep(0.8)
        return await self.length(request)

    async def fail(self, request):
        raise ValueError("two\nlines")

    async def fail_late(self, request):
        async def parts():
            yield b"part"
            raise ValueError("late")

        return StreamingResponse(parts())

    async def idle_events(self, request):
        async def events():
            yield b"data: 1\n\n"
            await asyncio.sleep(60)

        return StreamingResponse(events())

    async def endless(self, request):
        async def parts():
            try:
                while True:
                    yield bytes(1 << 20)
                    await asyncio.sleep(0)
            finally:
                self.aborted.set()

        return StreamingResponse(parts())

    async def who(self, request):
        return JSONResponse([request.client.host, request.url.scheme, request.url.hostname])


@pytest.fixture
def app():
    return App()


@contextmanager
def serving(app, timeouts=PATIENT, max_connections=100, **options):
    """Serves in a thread; yields a function that connects and sends bytes."""
    ready = threading.Event()
    server = Server(
        app.application, max_connections=max_connections, timeouts=timeouts, ready=ready.set, graceful=0, **options
    )
    with listening("127.0.0.1", 0) as address, ExitStack() as clients:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [address.sock]})
        thread.start()
        assert ready.wait(10)

        def connect(data=b""):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", address.port), timeout=10))
            client.sendall(data)
            return client

        try:
            yield connect
        finally:
            server.should_exit = True
            thread.join(10)
        assert not thread.is_alive()


def read(client):
    """All that the server sends until it closes the connection."""
    received = b""
    try:
        while data := client.recv(1 << 16):
            received += data
    except ConnectionError:
        pass
    return received


def answer(client):
    """Status and body of a response with Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(1)
    lines = received.decode().lower().splitlines()
    length = int(next(line.partition(":")[2] for line in lines if line.startswith("content-length")))
    body = b""
    while len(body) < length:
        body += client.recv(length - len(body))
    return int(lines[0].split()[1]), body


def trickle(client, data=b"x"):
    """Sends one byte after the other until the server closes the connection; returns the seconds and the response."""
    start = time.monotonic()
    client.settimeout(0.05)
    received = b""
    while time.monotonic() < start + 10:
        try:
            if not (part := client.recv(1 << 16)):
                break
            received += part
        except TimeoutError:
            client.send(data)
        except ConnectionError:
            break
    return time.monotonic() - start, received


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", GET])
def test_three_hundred_idle_connections_do_not_lock_out_others(app, sent):
    with serving(app, max_connections=200) as connect:
        idle = [connect(sent) for _ in range(300)]
        assert answer(connect(GET)) == (200, b"here")
        if sent != GET:
            assert read(idle[0]) == b""  # closed, unlike the last one
            idle[-1].sendall(b"1\r\n\r\n" if sent else GET)
            assert answer(idle[-1]) == (200, b"here")


def test_idle_connections_and_trickled_headers_are_closed(app):
    with serving(app, PATIENT._replace(headers=0.3)) as connect:
        idle = connect()
        for start in (b"GET / HTTP/1.1\r\nX: ", GET):  # in the first request or after a response
            seconds, received = trickle(connect(start))
            assert seconds < 2 and received.endswith(b"here" if start == GET else b"")
        assert read(idle) == b""


def test_request_after_the_timeout_of_the_first_is_answered_on_the_same_connection(app):
    with serving(app, PATIENT._replace(headers=0.6)) as connect:
        client = connect()
        for _ in range(3):
            time.sleep(0.4)
            client.sendall(GET)
            assert answer(client) == (200, b"here")


@pytest.mark.parametrize("slow", [{"body": 0.3}, {"speed": 0.3}])
def test_body_that_stops_or_trickles_is_answered_with_408(app, slow):
    with serving(app, PATIENT._replace(**slow)) as connect:
        if "body" in slow:
            received = read(connect(post(9) + b"12345"))
        else:
            seconds, received = trickle(connect(post(10_000)))
            assert seconds < 2
        assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n") and received.endswith(TOO_SLOW)
        assert app.aborted.wait(2)


def test_body_that_waits_for_the_application_is_not_too_slow(app):
    with serving(app, PATIENT._replace(body=0.3, speed=0.3)) as connect:
        client = connect(post(10**6).replace(b"/length", b"/read_late"))
        threading.Thread(target=client.sendall, args=[bytes(10**6)]).start()
        assert answer(client) == (200, b"1000000")


def test_response_that_is_not_read_is_ended_but_idle_events_continue(app):
    with serving(app, Timeouts(*[0.3] * 4)) as connect:
        events = connect(GET.replace(b"/", b"/idle_events", 1))
        connect(GET.replace(b"/", b"/endless", 1))
        assert app.aborted.wait(5)
        events.settimeout(0.1)
        with pytest.raises(TimeoutError):
            read(events)


def test_new_connection_is_answered_with_503_while_all_others_have_requests(app):
    with serving(app, max_connections=2) as connect:
        busy = [connect(post(1)) for _ in range(2)]
        time.sleep(0.2)
        silent = connect()
        status, body = answer(connect(GET))
        assert status == 503 and list(json.loads(body)) == ["error"]
        assert read(silent) == b""
        for client in busy:
            client.sendall(b"1")
            assert answer(client) == (200, b"1")
        assert answer(connect(GET)) == (200, b"here")


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + bytes(40_000), post(9).replace(b"9", b"-")]
)
def test_invalid_or_too_large_headers_get_one_line(app, request_, caplog):
    with serving(app) as connect:
        received = read(connect(request_))
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n") and received.count(b"error") == 1
    assert not caplog.records


def test_invalid_body_ends_the_request(app, caplog):
    chunked = post(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with serving(app) as connect:
        assert read(connect(chunked + b"zz\r\n")).startswith(b"HTTP/1.1 400 ")
        assert app.aborted.wait(2)
    assert not caplog.records


def test_exception_is_one_line_of_the_log(app, caplog, capfd):
    with serving(app) as connect:
        status, body = answer(connect(GET.replace(b"/", b"/fail", 1)))
        assert status == 500 and b"two" not in body
        assert b"part" in read(connect(GET.replace(b"/", b"/fail_late", 1)))
        connect(post(9)).close()  # a visitor who leaves
        assert app.aborted.wait(2)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["GET /fail: ValueError: two\\nlines", "GET /fail_late: ValueError: late"]
    assert not [record for record in caplog.records if record.exc_info]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_forwarded_headers_are_ignored(app):
    headers = b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\r\n"
    with serving(app) as connect:
        _, body = answer(connect(GET.replace(b"/", b"/who", 1)[:-2] + headers))
    assert json.loads(body) == ["127.0.0.1", "http", "x"]


@pytest.mark.parametrize(
    "files, connections", [(256, 128), (1024, 768), (20_000, 1000), (resource.RLIM_INFINITY, 1000)]
)
def test_number_of_connections_leaves_files_to_the_application(monkeypatch, files, connections):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert server_module._connection_limit() == connections


SCRIPT = """
import resource, sys
from ppcartoon.utils.server import listening, serve
from tests.utils.test_server import App
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with listening("127.0.0.1", 0) as address:
    serve(App().application, address, ready=lambda: print(address.port, flush=True))
print("after")
"""


@contextmanager
def process():
    """A server that may open 64 files; yields the process and its address."""
    started = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = started.stdout.readline()
        assert line, started.communicate()[1]
        yield started, ("127.0.0.1", int(line))
    finally:
        started.kill()
        started.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_server_during_a_response_without_messages(number):
    with process() as (started, address), socket.create_connection(address) as client:
        client.sendall(GET.replace(b"/", b"/idle_events", 1))
        assert client.recv(1)
        started.send_signal(number)
        out, err = started.communicate(timeout=10)
    assert (started.returncode, out, err) == (0, "after\n", "")


def test_too_few_open_files_give_one_line_and_the_server_recovers():
    with process() as (started, address):
        with ExitStack() as clients:
            for _ in range(100):
                clients.enter_context(socket.create_connection(address, timeout=10))
            time.sleep(1.5)  # asyncio tries again each second
        with socket.create_connection(address, timeout=10) as client:
            client.sendall(GET)
            assert answer(client) == (200, b"here")
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=10)
    (line,) = err.splitlines()
    assert "out of system resource" in line and "Too many open files" in line
