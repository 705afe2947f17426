"""Shutdown of the demo page, and requests that its guard handles."""

import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from ppcartoon.errors import InputError
from ppcartoon.inference.predictor import CartoonPredictor
from ppcartoon.utils.server import listening
from ppcartoon.web.studio import Limits, Studio
from tests.helpers.samples import photo
from tests.helpers.visitors import Visitor, demo

pytestmark = pytest.mark.slow


def test_ctrl_c_with_an_open_page_prints_only_a_line_on_a_failed_request(tmp_path, tiny_file):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (process, address):
        visitor = Visitor(address)
        body = {"data": [], "fn_index": 999, "session_hash": "x"}
        answer = visitor.http.post(f"{address}/gradio_api/queue/join", json=body)
        assert answer.status_code == 500 and "Traceback" not in answer.text
        with requests.get(f"{address}/gradio_api/heartbeat/x", stream=True, proxies={"http": ""}) as heartbeat:
            assert next(heartbeat.iter_content(1))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    (line,) = err.splitlines()
    assert line.startswith("/gradio_api/queue/join: ")


def test_chunked_bodies_are_refused(tmp_path, tiny_file):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (_, address):
        url = urlsplit(address)
        for path in ("upload", "queue/join"):
            with socket.create_connection((url.hostname, url.port)) as sock:
                head = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 5\r\n"
                sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                assert sock.recv(1000).startswith(b"HTTP/1.1 411")


def test_close_waits_for_a_photo_in_progress_and_leaves_no_files(predictor, tmp_path, monkeypatch):
    Image.fromarray(photo(8, 8)).save(tmp_path / "mine.png")
    closed = []

    def cartoonize(self, photos):
        closing.start()
        studio._closed.wait(30)
        closed.append(not closing.is_alive())
        return photos

    monkeypatch.setattr(CartoonPredictor, "_cartoonize", cartoonize)
    studio = Studio({"tiny": predictor}, tmp_path, Limits(1, 1, 1))
    closing = threading.Thread(target=studio.close)
    for _ in range(2):
        with pytest.raises(InputError, match="the page is closed"):
            studio.photo(tmp_path / "mine.png", "tiny", "384", "auto")
        closing.join(30)
    assert closed == [False] and not closing.is_alive()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


@pytest.mark.parametrize("host, message", [("", "--host: empty"), ("ü..x", "cannot listen there")])
def test_invalid_hosts_are_refused(host, message):
    with pytest.raises(InputError, match=message), listening(host, 0):
        pass
