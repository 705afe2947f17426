"""What downloads leave on the disk, and what the next one makes of it."""

import itertools
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from ppcartoon.data import download
from ppcartoon.data.download import fetch
from ppcartoon.errors import OutputError
from tests.helpers.download_server import (
    CUT,
    DATA,
    MD5,
    OTHER,
    SHA256,
    STALL,
    WRONG,
    Fault,
    names,
    refused,
    until_written,
)

CHECKSUMS = pytest.mark.parametrize("checksum", [None, SHA256], ids=["unverified", "verified"])
Disk = namedtuple("Disk", "free")
FETCH = "import sys, pathlib, ppcartoon.data.download as f; f.fetch(sys.argv[1], pathlib.Path(sys.argv[2]))"


def test_a_wrong_checksum_throws_away_and_names_both(web, tmp_path):
    message = refused(url := web.put("/x.bin", DATA), tmp_path / "x.bin", WRONG)
    assert url in message and SHA256 in message and WRONG in message and "thrown away" in message
    assert "x.bin" not in names(tmp_path) and "x.bin.part" not in names(tmp_path)


def test_without_a_length_the_checksum_tells_that_the_end_is_missing(web, tmp_path):
    web.framing = "close"
    web.will(Fault(cut=CUT))
    assert WRONG.partition(":")[0] in refused(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256)
    assert not (tmp_path / "x.bin").exists()
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256).read_bytes() == DATA


def test_hexadecimal_digits_may_be_large(web, tmp_path):
    assert fetch(web.put("/x.bin", DATA), tmp_path / "x.bin", f"sha256:{SHA256[7:].upper()}").read_bytes() == DATA


@pytest.mark.parametrize(
    "checksum", ["wrong", "sha256:12", "crc:00", SHA256[7:]], ids=["word", "short", "kind", "bare"]
)
def test_what_is_no_checksum_is_refused_before_the_download(web, tmp_path, checksum):
    assert checksum in refused(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)
    assert web.log == []


@pytest.mark.parametrize("checksum", [None, SHA256, MD5], ids=["unverified", "sha256", "md5"])
def test_what_is_there_is_not_fetched_again(web, tmp_path, checksum):
    (tmp_path / "x.bin").write_bytes(DATA)
    assert fetch(web.put("/x.bin", OTHER), tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert web.log == [] and names(tmp_path) == ["x.bin"]


def test_what_is_there_but_wrong_is_refused_and_left_alone(web, tmp_path):
    (tmp_path / "x.bin").write_bytes(OTHER)
    message = refused(web.put("/x.bin", DATA), tmp_path / "x.bin", SHA256)
    assert str(tmp_path / "x.bin") in message and SHA256 in message and "remove it" in message
    assert (tmp_path / "x.bin").read_bytes() == OTHER and web.log == []


@CHECKSUMS
def test_a_folder_of_that_name_is_no_file(web, tmp_path, checksum):
    (tmp_path / "x.bin").mkdir()
    assert str(tmp_path / "x.bin") in refused(web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)


@pytest.mark.parametrize("framing, stall", [("length", 0), ("chunked", None), ("close", None)])
def test_a_too_small_disk_is_refused_before_it_is_filled(web, tmp_path, monkeypatch, framing, stall):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(download.SPARE))
    web.framing = framing
    web.will(Fault(stall=stall))
    message = refused(web.put("/x.bin", DATA), tmp_path / "x.bin", kind=OutputError)
    assert str(tmp_path) in message and "0 MB are to be had" in message
    assert "x.bin" not in names(tmp_path) and len(web.log) == 1


def test_nothing_is_left_beside_what_was_thrown_away(web, tmp_path):
    refused(web.put("/x.bin", DATA), tmp_path / "x.bin", WRONG)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_is_one_line(web, tmp_path):
    (tmp_path / "file").touch()
    message = refused(web.put("/x.bin", DATA), tmp_path / "file/folder/x.bin", kind=OutputError)
    assert message.startswith(f"{tmp_path}/file/folder/x.bin: cannot be written") and web.log == []


@pytest.fixture
def interrupted(web, tmp_path):
    """Breaks a first run off, and gives the URL, what there is so far, and the Range of what is missing."""

    def interrupt(checksum=None):
        web.faults = itertools.repeat(Fault(cut=CUT))
        refused(url := web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)
        part = (tmp_path / "x.bin.part").read_bytes()
        assert not (tmp_path / "x.bin").exists()
        assert len(part) > CUT // 2 and DATA.startswith(part)
        web.will()
        web.log.clear()
        return url, part, f"bytes={len(part)}-"

    return interrupt


@CHECKSUMS
@pytest.mark.parametrize("version", ["ETag", "Last-Modified"])
def test_the_next_run_fetches_the_rest_only(web, tmp_path, interrupted, version, checksum):
    web.version = version
    url, _, rest = interrupted(checksum)
    assert fetch(url, tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert web.asked == [rest] and names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("conditions", [True, False], ids=["If-Range heeded", "If-Range ignored"])
@pytest.mark.parametrize("version", ["ETag", "Last-Modified", None])
@pytest.mark.parametrize("other", [OTHER, OTHER[:100_000]], ids=["as large", "smaller"])
def test_the_next_run_finds_another_file(web, tmp_path, interrupted, version, conditions, other):
    web.version, web.conditions = version, conditions
    url, _, _ = interrupted()
    web.put("/x.bin", other)
    assert fetch(url, tmp_path / "x.bin").read_bytes() == other
    assert names(tmp_path) == ["x.bin"]


def test_the_next_run_knows_no_version_and_fetches_anew(web, tmp_path, interrupted):
    web.version = None
    url, _, _ = interrupted()
    assert fetch(url, tmp_path / "x.bin").read_bytes() == DATA
    assert web.asked == [None]


def test_a_lost_note_is_as_good_as_no_version(web, tmp_path, interrupted):
    url, part, _ = interrupted()
    for path in tmp_path.iterdir():
        if path.read_bytes() != part:
            path.unlink()
    assert fetch(url, tmp_path / "x.bin").read_bytes() == DATA
    assert web.asked == [None]


@CHECKSUMS
def test_a_mirror_goes_on_only_with_what_a_checksum_tells_to_be_the_same(web, tmp_path, interrupted, checksum):
    _, _, rest = interrupted(checksum)
    assert fetch(web.put("/mirror/x.bin", DATA), tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert web.log == [("/mirror/x.bin", rest if checksum else None)]


def test_a_rest_of_another_file_is_told_by_the_checksum_and_thrown_away(web, tmp_path):
    (tmp_path / "x.bin.part").write_bytes(OTHER[:CUT])
    url = web.put("/x.bin", DATA)
    assert SHA256 in refused(url, tmp_path / "x.bin", SHA256)
    assert fetch(url, tmp_path / "x.bin", SHA256).read_bytes() == DATA
    assert web.asked == [f"bytes={CUT}-", None]


@CHECKSUMS
def test_if_only_the_last_step_is_missing_nothing_is_fetched_again(web, tmp_path, interrupted, checksum):
    url, _, _ = interrupted(checksum)
    (tmp_path / "x.bin.part").write_bytes(DATA)
    assert fetch(url, tmp_path / "x.bin", checksum).read_bytes() == DATA
    assert web.asked == ["bytes=300000-"] and names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("note", ["", '{"url": "', "{}", "[]"])
def test_a_damaged_note_does_no_harm(web, tmp_path, interrupted, note):
    url, _, _ = interrupted()
    (tmp_path / "x.bin.part.json").write_text(note)
    assert fetch(url, tmp_path / "x.bin").read_bytes() == DATA
    assert names(tmp_path) == ["x.bin"]


def test_only_the_rest_must_find_room(web, tmp_path, interrupted, monkeypatch):
    url, part, _ = interrupted()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(download.SPARE + len(DATA) - len(part)))
    assert fetch(url, tmp_path / "x.bin").read_bytes() == DATA


def started(*arguments):
    """A download in a process of its own, as soon as it has written something."""
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, *map(str, arguments)],
        cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_written(arguments[1].with_name("x.bin.part"), STALL // 2, process)
    return process


def kill(process):
    process.kill()
    process.communicate()


def test_a_killed_process_leaves_what_the_next_run_completes(web, tmp_path):
    web.will(Fault(stall=STALL))
    kill(started(url := web.put("/x.bin", DATA), tmp_path / "x.bin"))
    part = (tmp_path / "x.bin.part").read_bytes()
    assert len(part) >= STALL // 2 and DATA.startswith(part) and not (tmp_path / "x.bin").exists()
    assert fetch(url, tmp_path / "x.bin").read_bytes() == DATA
    assert web.asked == [None, f"bytes={len(part)}-"] and names(tmp_path) == ["x.bin"]


@CHECKSUMS
def test_two_at_once_give_one_download(web, tmp_path, checksum):
    begun, go_on = threading.Event(), threading.Event()
    web.will(Fault(stall=STALL, until=go_on, then=begun.set))
    with ThreadPoolExecutor() as pool:
        try:
            first = pool.submit(fetch, url := web.put("/x.bin", DATA), tmp_path / "x.bin", checksum)
            assert begun.wait(10)
            second = pool.submit(fetch, url, tmp_path / "x.bin", checksum)
            assert not wait([first, second], 0.2).done
        finally:
            go_on.set()
        assert first.result() == second.result() == tmp_path / "x.bin"
    assert (tmp_path / "x.bin").read_bytes() == DATA
    assert web.asked == [None] and names(tmp_path) == ["x.bin"]


@CHECKSUMS
def test_who_waits_for_a_process_that_is_killed_goes_on_with_its_rest(web, tmp_path, checksum):
    web.will(Fault(stall=STALL))
    process = started(url := web.put("/x.bin", DATA), tmp_path / "x.bin")
    with ThreadPoolExecutor() as pool:
        try:
            waiting = pool.submit(fetch, url, tmp_path / "x.bin", checksum)
            assert not wait([waiting], 0.2).done
        finally:
            kill(process)
        assert waiting.result().read_bytes() == DATA
    assert len(web.asked) == 2 and web.asked[1]
    assert names(tmp_path) == ["x.bin"]
