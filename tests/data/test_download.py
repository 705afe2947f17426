"""One download, with all that can go wrong on its way."""

import itertools
import socket
from contextlib import ExitStack, suppress

import pytest

from ppcartoon.data import download
from ppcartoon.data.download import fetch
from ppcartoon.errors import InputError
from tests.helpers.download_server import CUT, DATA, MD5, OTHER, SHA256, STALL, Fault, names, refused


@pytest.fixture
def no_pauses(monkeypatch):
    """Whoever waits for another attempt fails."""
    monkeypatch.setattr(download, "PAUSE", -1)


def impatient(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.05))


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("data", [DATA, b""], ids=["file", "empty"])
def test_a_file_arrives_in_a_new_folder(web, tmp_path, framing, data):
    web.framing = framing
    assert fetch(web.put("/x.bin", data), tmp_path / "new/folder/y.bin") == tmp_path / "new/folder/y.bin"
    assert (tmp_path / "new/folder/y.bin").read_bytes() == data
    assert names(tmp_path / "new/folder") == ["y.bin"]
    assert web.log == [("/x.bin", None)]


@pytest.mark.parametrize("checksum", [None, SHA256, MD5], ids=["unverified", "sha256", "md5"])
@pytest.mark.parametrize("version", ["ETag", "Last-Modified"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_what_broke_off_goes_on_from_there(web, tmp_path, framing, version, checksum):
    web.framing, web.version = framing, version
    web.will(Fault(cut=CUT))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert names(tmp_path) == ["x.bin"]
    first, rest = web.asked
    assert first is None and CUT // 2 < int(rest.removeprefix("bytes=").removesuffix("-")) <= CUT


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(drop=True)],
        [Fault(status=503)] * 4,
        [Fault(status=429), Fault(status=408), Fault(status=500)],
        [Fault(cut=n) for n in range(100_000, 300_000, 20_000)],
        [Fault(cut=n) for n in range(10_000, 300_000, 10_000)],
        [Fault(cut=CUT), Fault(drop=True), Fault(status=502), Fault(cut=270_000), Fault(drop=True)],
        [Fault(stall=0)],
        [Fault(stall=30_000)],
        [Fault(stall=STALL), Fault(stall=CUT)],
        [Fault(announced=100)],
        [Fault(cut=CUT), Fault(first=0)],
        [Fault(cut=CUT), Fault(first=10_000)],
        [Fault(cut=CUT), Fault(last=250_000)],
        [Fault(last=100_000)],
        [Fault(cut=CUT), Fault(status=416)],
        [Fault(cut=CUT), Fault(status=416, headers={"Content-Range": "bytes */100"})],
    ],
    ids=lambda faults: "; ".join(str(fault) for fault in faults[:3]),
)
@pytest.mark.parametrize("checksum", [None, SHA256], ids=["unverified", "verified"])
def test_after_faults_comes_the_whole_file(web, tmp_path, monkeypatch, faults, checksum):
    if any(fault.stall is not None for fault in faults):
        impatient(monkeypatch)
    web.will(*faults)
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("conditions", [True, False], ids=["If-Range heeded", "If-Range ignored"])
@pytest.mark.parametrize("version", ["ETag", "Last-Modified", None])
def test_two_versions_are_never_glued_together(web, tmp_path, version, conditions):
    web.version, web.conditions = version, conditions
    web.will(Fault(cut=CUT, then=lambda: web.put("/x.bin", OTHER)))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == OTHER
    assert names(tmp_path) == ["x.bin"] and len(web.log) <= (2 if conditions else 3)


def test_a_rest_of_no_known_version_is_fetched_anew(web, tmp_path):
    web.version = None
    web.will(Fault(cut=CUT))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == DATA
    assert web.asked == [None, None]


def test_nothing_comes_compressed(web, tmp_path):
    web.squeezes = "allowed"
    web.will(Fault(cut=CUT))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == DATA


@pytest.mark.parametrize("faults", [[], [Fault(cut=CUT)]], ids=["whole", "cut"])
@pytest.mark.parametrize("data", [DATA, DATA[:1000] * 300], ids=["hardly", "much"])
def test_what_comes_compressed_all_the_same_is_right_or_not_there(web, tmp_path, data, faults):
    web.squeezes = "always"
    web.will(*faults)
    with suppress(InputError):
        fetch(web.put("/x.bin", data), tmp_path / "x.bin")
    assert not (tmp_path / "x.bin").exists() or (tmp_path / "x.bin").read_bytes() == data


def test_a_checksum_is_enough_to_take_a_rest(web, tmp_path):
    web.version = None
    web.will(Fault(cut=CUT))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256).read_bytes() == DATA
    assert len(web.asked) == 2 and web.asked[1]


def test_a_rest_is_asked_for_by_way_of_the_same_redirection(web, tmp_path):
    elsewhere = Fault(status=302, headers={"Location": web.put("/elsewhere", DATA)})
    web.will(elsewhere, Fault(cut=CUT), elsewhere)
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == DATA
    rest = web.asked[-1]
    assert rest and web.log == [("/x.bin", None), ("/elsewhere", None), ("/x.bin", rest), ("/elsewhere", rest)]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    "fault", [Fault(cut=CUT), Fault(stall=CUT), Fault(cut=0), Fault(drop=True), Fault(status=503)], ids=str
)
def test_attempts_come_to_an_end(web, tmp_path, monkeypatch, fault, ranges):
    if fault.stall is not None:
        impatient(monkeypatch)
    web.ranges, web.faults = ranges, itertools.repeat(fault)
    url = web.put("/x.bin", DATA)
    assert refused(url, tmp_path / "x.bin").startswith(f"{url}: ")
    assert 1 <= len(web.log) <= download.ATTEMPTS + 1
    assert not (tmp_path / "x.bin").exists()


def test_pauses_double_and_begin_anew_with_every_success(web, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "PAUSE", 1)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    web.will(*[Fault(status=503)] * 3, Fault(cut=CUT), Fault(status=503), Fault(status=503))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == DATA
    assert pauses == [1, 2, 4, 1, 2, 4]


@pytest.mark.parametrize("status, reason", [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")])
def test_what_the_server_refuses_is_not_asked_for_again(web, tmp_path, no_pauses, status, reason):
    web.will(Fault(status=status))
    url = web.put("/x.bin", DATA)
    assert refused(url, tmp_path / "x.bin") == f"{url}: the server says {status} {reason}"
    assert len(web.log) == 1 and names(tmp_path) == []


@pytest.mark.parametrize(
    "fault, cause",
    [
        (Fault(stall=0), "no answer in time"),
        (Fault(stall=CUT), "no answer in time"),
        (Fault(cut=CUT), "the connection broke off"),
        (Fault(status=503), "the server says 503 Service Unavailable"),
    ],
    ids=str,
)
def test_the_last_cause_is_named_and_what_is_there_so_far(web, tmp_path, monkeypatch, fault, cause):
    if fault.stall is not None:
        impatient(monkeypatch)
    web.faults, url = itertools.repeat(fault), web.put("/x.bin", DATA)
    so_far = f", with 0.2 MB so far in {tmp_path}/x.bin.part" if CUT in (fault.cut, fault.stall) else ""
    assert refused(url, tmp_path / "x.bin") == f"{url}: {cause}{so_far}"


def test_no_connection_is_one_line_at_once(tmp_path, no_pauses):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x.bin"
        assert refused(url, tmp_path / "x.bin") == f"{url}: no connection"
    assert names(tmp_path) == []


def test_a_call_that_nobody_takes_is_one_line_after_one_attempt(tmp_path, no_pauses, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (0.05, 5))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as callers:
        with suppress(TimeoutError):
            while True:  # until the queue is full
                callers.enter_context(socket.create_connection(server.getsockname(), timeout=0.2))
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.bin"
        assert refused(url, tmp_path / "x.bin").startswith(f"{url}: no ")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    ["example.org/x.bin", "ftp://a/x.bin", "http://", f"http://{'a' * 64}/x.bin"],
    ids=["path", "ftp", "no", "long"],
)
def test_what_is_no_url_is_one_line_at_once(tmp_path, no_pauses, url):
    assert refused(url, tmp_path / "x.bin").startswith(f"{url}: ")
    assert names(tmp_path) == []
