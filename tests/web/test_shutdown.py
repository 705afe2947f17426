"""How the demo page ends, and what its guard bears."""

import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from ppcartoon.errors import InputError
from ppcartoon.utils.server import listening
from ppcartoon.web.studio import Limits, Studio
from tests.helpers.samples import photo
from tests.helpers.visitors import Visitor, demo


def test_with_a_page_open_it_ends_in_silence_but_for_a_line_on_a_request_that_the_page_does_not_make(
    tmp_path, tiny_file
):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (process, address):
        visitor = Visitor(address)
        body = {"data": [], "fn_index": 999, "session_hash": "x"}
        answer = visitor.http.post(f"{address}/gradio_api/queue/join", json=body)
        assert answer.status_code == 500 and "Traceback" not in answer.text
        with requests.get(f"{address}/gradio_api/heartbeat/x", stream=True, proxies={"http": ""}) as heart:
            assert next(heart.iter_content(1))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    (line,) = err.splitlines()
    assert line.startswith("/gradio_api/queue/join: ")


def test_a_body_cannot_be_longer_than_it_tells(tmp_path, tiny_file):
    with demo(tmp_path / "tmp", "-w", tiny_file) as (_, address):
        place = urlsplit(address)
        for path in ("upload", "queue/join"):
            with socket.create_connection((place.hostname, place.port)) as sock:
                head = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 5\r\n"
                sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                assert sock.recv(1000).startswith(b"HTTP/1.1 411")


def test_closing_waits_for_a_photo_which_then_leaves_nothing(tmp_path):
    Image.fromarray(photo(8, 8)).save(tmp_path / "mine.png")
    closed = []

    def predictor(rgb):
        closing.start()
        making._closed.wait(30)
        closed.append(not closing.is_alive())
        return rgb

    making = Studio({"tiny": predictor}, tmp_path, Limits(1, 1, 1))
    closing = threading.Thread(target=making.close)
    for _ in range(2):
        with pytest.raises(InputError, match="the page is closed"):
            making.photo(tmp_path / "mine.png", "tiny", "384")
        closing.join(30)
    assert closed == [False] and not closing.is_alive()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


@pytest.mark.parametrize("host, said", [("", "--host: empty"), ("ü..x", "cannot listen there")])
def test_what_is_no_host_is_said(host, said):
    with pytest.raises(InputError, match=said), listening(host, 0):
        pass
