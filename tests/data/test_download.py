"""Downloads of one file: retries, resuming, checksums, errors."""

import itertools
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ppcartoon.data import download
from ppcartoon.data.download import fetch
from ppcartoon.errors import InputError, OutputError
from tests.helpers.download_server import (
    CUT,
    DATA,
    MD5,
    OTHER,
    SHA256,
    STALL,
    WRONG,
    Fault,
    file_size_limit,
    names,
    refused,
    until_written,
)

CHECKSUMS = pytest.mark.parametrize("checksum", [None, SHA256], ids=["unverified", "verified"])
FETCH = (
    "import sys, pathlib, ppcartoon.data.download as f; f.fetch(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])"
)


@pytest.fixture
def no_pauses(monkeypatch):
    """A second attempt fails."""
    monkeypatch.setattr(download, "PAUSE", -1)


def short_timeout(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.05))


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("data", [DATA, b""], ids=["file", "empty"])
def test_fetch_writes_the_file_into_a_new_folder(web, tmp_path, framing, data):
    web.framing = framing
    assert fetch(web.put("/x.bin", data), tmp_path / "new/folder/y.bin") == tmp_path / "new/folder/y.bin"
    assert (tmp_path / "new/folder/y.bin").read_bytes() == data
    assert names(tmp_path / "new/folder") == ["y.bin"]
    assert web.log == [("/x.bin", None)]


@pytest.mark.parametrize("checksum", [SHA256, MD5, None], ids=["sha256", "md5", "resume"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_broken_download_resumes_from_the_received_bytes(web, tmp_path, framing, checksum):
    web.framing = framing
    web.fail_next(Fault(cut=CUT))
    fetched = fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum, resume=checksum is None)
    assert fetched.read_bytes() == DATA
    assert names(tmp_path) == ["x.bin"]
    first, rest = web.requested
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
        [Fault(extra_length=100)],
        [Fault(cut=CUT), Fault(first=0)],
        [Fault(cut=CUT), Fault(first=10_000)],
        [Fault(cut=CUT), Fault(last=250_000)],
        [Fault(last=100_000)],
        [Fault(cut=CUT), Fault(status=416)],
        [Fault(cut=CUT), Fault(status=416, headers={"Content-Range": "bytes */100"})],
    ],
    ids=lambda faults: "; ".join(str(fault) for fault in faults[:3]),
)
@CHECKSUMS
def test_the_file_is_complete_after_faults(web, tmp_path, monkeypatch, faults, checksum):
    if any(fault.stall is not None for fault in faults):
        short_timeout(monkeypatch)
    web.fail_next(*faults)
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert names(tmp_path) == ["x.bin"]


def test_without_a_checksum_each_attempt_starts_anew(web, tmp_path):
    web.fail_next(Fault(cut=CUT, then=lambda: web.put("/x.bin", OTHER)))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == OTHER
    assert names(tmp_path) == ["x.bin"] and web.requested == [None, None]


@pytest.mark.parametrize("data", [DATA, OTHER[:100_000]], ids=["same", "shorter"])
def test_a_server_without_ranges_sends_the_whole_file_again(web, tmp_path, data):
    (tmp_path / "x.bin.part").write_bytes(OTHER[:CUT])
    web.ranges = False
    assert fetch(web.put("/x.bin", data), tmp_path / "x.bin", resume=True).read_bytes() == data
    assert names(tmp_path) == ["x.bin"]


def test_compression_is_not_requested(web, tmp_path):
    web.compresses = "allowed"
    web.fail_next(Fault(cut=CUT))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == DATA


@pytest.mark.parametrize("faults", [[], [Fault(cut=CUT)]], ids=["whole", "cut"])
@pytest.mark.parametrize("data", [DATA, DATA[:1000] * 300], ids=["incompressible", "compressible"])
def test_an_unrequested_compressed_response_is_decoded_or_refused(web, tmp_path, data, faults):
    web.compresses = "always"
    web.fail_next(*faults)
    with suppress(InputError):
        fetch(web.put("/x.bin", data), tmp_path / "x.bin")
    assert not (tmp_path / "x.bin").exists() or (tmp_path / "x.bin").read_bytes() == data


def test_a_resumed_download_follows_the_redirection_again(web, tmp_path):
    elsewhere = Fault(status=302, headers={"Location": web.put("/elsewhere", DATA)})
    web.fail_next(elsewhere, Fault(cut=CUT), elsewhere)
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256).read_bytes() == DATA
    rest = web.requested[-1]
    assert rest and web.log == [("/x.bin", None), ("/elsewhere", None), ("/x.bin", rest), ("/elsewhere", rest)]


@CHECKSUMS
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    "fault", [Fault(cut=CUT), Fault(stall=CUT), Fault(cut=0), Fault(drop=True), Fault(status=503)], ids=str
)
def test_attempts_are_limited(web, tmp_path, monkeypatch, fault, ranges, checksum):
    if fault.stall is not None:
        short_timeout(monkeypatch)
    web.ranges, web.faults = ranges, itertools.repeat(fault)
    url = web.put("/x.bin", DATA)
    assert refused(url, tmp_path / "x.bin", checksum).startswith(f"{url}: ")
    assert 1 <= len(web.log) <= download.ATTEMPTS + 1
    assert set(names(tmp_path)) <= ({"x.bin.part"} if checksum else set())


def test_pauses_double_until_new_bytes_arrive(web, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "PAUSE", 1)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    web.fail_next(*[Fault(status=503)] * 3, Fault(cut=CUT), Fault(status=503), Fault(status=503))
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin").read_bytes() == DATA
    assert pauses == [1, 2, 4, 1, 2, 4]


@pytest.mark.parametrize("status, reason", [(404, "Not Found"), (403, "Forbidden"), (410, "Gone")])
def test_a_refused_request_is_not_repeated(web, tmp_path, no_pauses, status, reason):
    web.fail_next(Fault(status=status))
    url = web.put("/x.bin", DATA)
    assert refused(url, tmp_path / "x.bin") == f"{url}: the server says {status} {reason}"
    assert len(web.log) == 1 and names(tmp_path) == []


@CHECKSUMS
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
def test_the_last_cause_and_the_part_file_are_named(web, tmp_path, monkeypatch, fault, cause, checksum):
    if fault.stall is not None:
        short_timeout(monkeypatch)
    web.faults, url = itertools.repeat(fault), web.put("/x.bin", DATA)
    received = checksum and CUT in (fault.cut, fault.stall)
    so_far = f", with 0.2 MB so far in {tmp_path}/x.bin.part" if received else ""
    assert refused(url, tmp_path / "x.bin", checksum) == f"{url}: {cause}{so_far}"


def test_no_connection_is_one_line_at_once(tmp_path, no_pauses):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x.bin"
        assert refused(url, tmp_path / "x.bin") == f"{url}: no connection"
    assert names(tmp_path) == []


def test_a_connection_that_is_not_accepted_is_one_line_after_one_attempt(tmp_path, no_pauses, monkeypatch):
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
def test_an_invalid_url_is_one_line_at_once(tmp_path, no_pauses, url):
    assert refused(url, tmp_path / "x.bin").startswith(f"{url}: ")
    assert names(tmp_path) == []


def test_a_wrong_checksum_removes_the_part_and_names_both_checksums(web, tmp_path):
    message = refused(url := web.put("/x.bin", DATA), tmp_path / "x.bin", WRONG)
    assert url in message and SHA256 in message and WRONG in message and "removed" in message
    assert names(tmp_path) == []


def test_the_checksum_detects_a_missing_end_when_no_length_is_sent(web, tmp_path):
    web.framing = "close"
    web.fail_next(Fault(cut=CUT))
    assert SHA256 in refused(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256)
    assert names(tmp_path) == []
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256).read_bytes() == DATA


def test_a_checksum_may_have_upper_case_digits(web, tmp_path):
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", f"sha256:{SHA256[7:].upper()}").read_bytes() == DATA


@pytest.mark.parametrize(
    "checksum", ["wrong", "sha256:12", "crc:00", SHA256[7:]], ids=["word", "short", "kind", "bare"]
)
def test_an_invalid_checksum_is_refused_before_the_download(web, tmp_path, checksum):
    assert checksum in refused(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)
    assert web.log == []


@pytest.mark.parametrize("checksum", [None, SHA256, MD5], ids=["unverified", "sha256", "md5"])
def test_an_existing_file_is_not_downloaded_again(web, tmp_path, checksum):
    (tmp_path / "x.bin").write_bytes(DATA)
    assert fetch(web.put("/x.bin", OTHER), tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert web.log == [] and names(tmp_path) == ["x.bin"]


def test_an_existing_file_with_a_wrong_checksum_is_refused_and_kept(web, tmp_path):
    (tmp_path / "x.bin").write_bytes(OTHER)
    message = refused(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256)
    assert str(tmp_path / "x.bin") in message and SHA256 in message and "remove it" in message
    assert (tmp_path / "x.bin").read_bytes() == OTHER and web.log == []


@CHECKSUMS
def test_a_folder_with_the_name_of_the_file_is_refused(web, tmp_path, checksum):
    (tmp_path / "x.bin").mkdir()
    assert str(tmp_path / "x.bin") in refused(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)


@CHECKSUMS
def test_a_full_disk_is_one_line_and_leaves_no_file(web, tmp_path, checksum):
    url = web.put("/x.bin", DATA)
    with file_size_limit(STALL):
        message = refused(url, tmp_path / "x.bin", checksum, kind=OutputError)
    assert message.startswith(f"{tmp_path}/x.bin: cannot be written (")
    assert names(tmp_path) == [] and len(web.log) == 1


def test_a_folder_that_cannot_be_made_is_one_line(web, tmp_path):
    (tmp_path / "file").touch()
    message = refused(web.put("/x.bin", DATA), tmp_path / "file/folder/x.bin", kind=OutputError)
    assert message.startswith(f"{tmp_path}/file/folder/x.bin: cannot be written") and web.log == []


@pytest.fixture
def interrupted(web, tmp_path):
    """Interrupts a verified download; returns the URL and the Range of what is missing."""
    web.faults = itertools.repeat(Fault(cut=CUT))
    refused(url := web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256)
    part = (tmp_path / "x.bin.part").read_bytes()
    assert names(tmp_path) == ["x.bin.part"] and len(part) > CUT // 2 and DATA.startswith(part)
    web.fail_next()
    web.log.clear()
    return url, f"bytes={len(part)}-"


@pytest.mark.parametrize("path", ["/x.bin", "/mirror/x.bin"])
def test_the_next_run_requests_the_rest_only(web, tmp_path, interrupted, path):
    assert fetch(web.put(path, DATA), tmp_path / "x.bin", SHA256).read_bytes() == DATA
    assert web.log == [(path, interrupted[1])] and names(tmp_path) == ["x.bin"]


def test_without_a_checksum_the_next_run_starts_anew_and_removes_the_part(web, tmp_path, interrupted):
    web.put("/x.bin", OTHER)
    assert fetch(interrupted[0], tmp_path / "x.bin").read_bytes() == OTHER
    assert web.requested == [None] and names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("size", [CUT, 400_000], ids=["shorter", "longer"])
def test_the_checksum_detects_a_part_of_another_file(web, tmp_path, size):
    (tmp_path / "x.bin.part").write_bytes((OTHER + OTHER)[:size])
    url = web.put("/x.bin", DATA)
    with suppress(InputError):
        fetch(url, tmp_path / "x.bin", SHA256)
    assert fetch(url, tmp_path / "x.bin", SHA256).read_bytes() == DATA
    assert web.requested == [f"bytes={size}-", None]


def test_a_complete_part_is_not_downloaded_again(web, tmp_path):
    (tmp_path / "x.bin.part").write_bytes(DATA)
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256).read_bytes() == DATA
    assert web.requested == ["bytes=300000-"] and names(tmp_path) == ["x.bin"]


def test_a_killed_download_is_resumed(web, tmp_path):
    web.fail_next(Fault(stall=STALL))
    command = [sys.executable, "-c", FETCH, url := web.put("/x.bin", DATA), str(tmp_path / "x.bin"), SHA256]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True)
    until_written(tmp_path / "x.bin.part", STALL // 2, process)
    process.kill()
    process.communicate()
    part = (tmp_path / "x.bin.part").read_bytes()
    assert len(part) >= STALL // 2 and DATA.startswith(part) and not (tmp_path / "x.bin").exists()
    assert fetch(url, tmp_path / "x.bin", SHA256).read_bytes() == DATA
    assert web.requested == [None, f"bytes={len(part)}-"] and names(tmp_path) == ["x.bin"]


@CHECKSUMS
@pytest.mark.parametrize("ranges", [True, False])
def test_two_downloads_of_a_file_at_once_leave_it_whole(web, tmp_path, checksum, ranges):
    started, go_on = threading.Event(), threading.Event()
    web.ranges = ranges
    web.fail_next(Fault(stall=STALL, until=go_on, then=started.set))
    with ThreadPoolExecutor() as pool:
        try:
            first = pool.submit(fetch, url := web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)
            assert started.wait(10)
            assert fetch(url, tmp_path / "x.bin", checksum).read_bytes() == DATA
        finally:
            go_on.set()
        assert first.result().read_bytes() == DATA
    assert names(tmp_path) == ["x.bin"]
