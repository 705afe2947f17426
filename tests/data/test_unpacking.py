"""Unpacking of zip files: layouts, harmful paths, bombs, damage."""

import io
import os
import random
import stat
import struct
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from ppcartoon.data import download
from ppcartoon.data.download import unpack
from ppcartoon.errors import InputError, OutputError
from tests.helpers.download_server import file_size_limit

GOOD = {f"train_photo/{i}.jpg": random.Random(i).randbytes(5_000) for i in range(3)} | {"Hayao/style/a.jpg": b"a"}
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
KINDS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}


def zipped(files, kind=zipfile.ZIP_DEFLATED):
    """A zip file of contents by names, or by `ZipInfo`s."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return out.getvalue()


def patched(data, at, fmt, value, name=b""):
    """An archive with another value in both headers of the entry `name`; `at` is the offset in the local header."""
    data = bytearray(data)
    for signature, length, shift in ((LOCAL, 30, 0), (CENTRAL, 46, 2)):
        header = data.find(signature)
        while not data[header + length :].startswith(name):
            header = data.find(signature, header + 1)
        struct.pack_into(f"<{fmt}", data, header + at + shift, value)
    return bytes(data)


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks an archive; returns the files of the new folder."""

    def unpacked(data):
        (tmp_path / "a.zip").write_bytes(data)
        unpack(tmp_path / "a.zip", tmp_path / "set", "train_photo")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "set"]
        return {name: data for name, data in tree(tmp_path / "set").items() if data is not None}

    return unpacked


@pytest.fixture
def refused(tmp_path):
    """Unpacks an archive that is refused; returns the message. With `before`, not even the parent folder is made."""

    def refused(data, kind=InputError, before=True):
        (tmp_path / "a.zip").write_bytes(data)
        target = tmp_path / "new/set" if before else tmp_path / "set"
        whole = tree(tmp_path)
        with pytest.raises(InputError) as caught:
            unpack(tmp_path / "a.zip", target, "train_photo")
        assert tree(tmp_path) == whole
        assert type(caught.value) is kind and "\n" not in str(caught.value)
        if kind is InputError:
            assert str(caught.value).startswith(f"{tmp_path}/a.zip: ")
        return str(caught.value)

    return refused


@pytest.mark.parametrize("root", ["", "dataset/", "some/where/", "with space/Häuser 家/"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_folder_that_holds_the_wanted_one_becomes_the_target(unpacked, root, kind):
    assert unpacked(zipped({root + name: data for name, data in GOOD.items()}, kind)) == GOOD


def test_the_outermost_such_folder_counts(unpacked):
    files = GOOD | {f"A/{name}": data for name, data in GOOD.items()}
    assert unpacked(zipped(files)) == files


def test_names_are_kept(unpacked):
    files = {
        f"train_photo/{name}": name.encode() for name in ("a b.jpg", "é.jpg", "日本.jpg", "c:d.jpg", "~", "-rf", "..x")
    }
    assert unpacked(zipped(files)) == files


def test_backslashes_separate_folders(unpacked):
    assert unpacked(zipped({name.replace("/", "\\"): data for name, data in GOOD.items()})) == GOOD


def test_files_of_operating_systems_are_left_out(unpacked):
    litter = ["__MACOSX/train_photo/._0.jpg", "train_photo/.DS_Store", "Hayao/Thumbs.db", "desktop.ini"]
    assert unpacked(zipped(GOOD | dict.fromkeys(litter, b"litter"))) == GOOD


def test_folder_entries_are_ignored(unpacked):
    folders = dict.fromkeys(["train_photo/", "Hayao/", "Hayao/style/", "empty/"], b"")
    assert unpacked(zipped(folders | GOOD)) == GOOD


@pytest.mark.parametrize("age, kept", [(60, True), (2 * 86400, False)])
def test_temporary_folders_of_killed_runs_are_removed_after_a_day(tmp_path, age, kept):
    left = tmp_path / ".set.0.partial"
    left.mkdir()
    (left / "left.jpg").touch()
    os.utime(left, times=(time.time() - age,) * 2)
    (tmp_path / "a.zip").write_bytes(zipped(GOOD))
    unpack(tmp_path / "a.zip", tmp_path / "set", "train_photo")
    assert left.exists() == kept


def test_two_processes_that_unpack_at_once_give_one_folder(tmp_path):
    many = GOOD | {f"train_photo/{i}.png": b"a" for i in range(200)}
    (tmp_path / "a.zip").write_bytes(zipped(many))
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(unpack, tmp_path / "a.zip", tmp_path / "set", "train_photo") for _ in range(2)]:
            assert done.result() is None
    assert {name: data for name, data in tree(tmp_path / "set").items() if data is not None} == many
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "set"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "..", "train_photo/../../evil", "train_photo/..", "../evil/", "/evil", "//evil", "/", "C:/evil",
        "C:evil", "\\evil", "..\\evil", "train_photo\\..\\..\\evil", "C:\\evil", "\\\\server\\evil",
    ],
)  # fmt: skip
def test_paths_outside_the_folder_are_refused(refused, name):
    assert "leads outside the folder" in refused(zipped({**GOOD, name: b"evil"}))


def test_an_entry_without_a_name_is_refused(refused):
    refused(zipped({**GOOD, "nameless": b"evil"}).replace(b"nameless", bytes(8)))


@pytest.mark.parametrize("target", ["/etc/passwd", "0.jpg", "../../evil"])
def test_a_link_is_refused(refused, target):
    link = zipfile.ZipInfo("train_photo/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "'train_photo/link' is a link" in refused(zipped([*GOOD.items(), (link, target)]))


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99], ids=["bzip2", "lzma", "unknown"])
def test_unusual_compression_is_refused(refused, kind):
    data = zipped(GOOD, kind) if kind != 99 else patched(zipped(GOOD), 8, "H", kind, b"Hayao")
    assert "is encrypted or compressed in an unusual way" in refused(data)


def test_an_encrypted_entry_is_refused(refused):
    assert "'Hayao/style/a.jpg' is encrypted or" in refused(patched(zipped(GOOD), 6, "H", 1, b"Hayao"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "name", ["train_photo/0.jpg", "./train_photo/0.jpg", "train_photo//0.jpg", "train_photo\\0.jpg"]
)
def test_a_name_that_occurs_twice_is_refused(refused, name):
    assert "occurs twice" in refused(zipped([*GOOD.items(), (name, b"second")]))


@pytest.mark.parametrize("files", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}], ids=["file first", "folder first"])
def test_a_file_and_a_folder_with_the_same_name_are_refused(refused, files):
    refused(zipped(GOOD | files), kind=OutputError, before=False)


def test_a_zip_bomb_is_refused(refused):
    assert "105 MB from 0 MB are no images" in refused(zipped({**GOOD, "zeros": bytes(100 << 20)}))


def test_many_small_bombs_are_refused(refused):
    assert "are no images" in refused(zipped({f"train_photo/{i}": bytes(100_000) for i in range(100)}))


def test_too_many_files_are_refused(refused, monkeypatch):
    monkeypatch.setattr(download, "ENTRIES", len(GOOD) - 1)
    assert "refused, 4 files" in refused(zipped(GOOD))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_bomb_with_a_false_size_is_refused(refused, kind):
    refused(patched(zipped({**GOOD, "zeros": bytes(20 << 20)}, kind), 22, "I", 1000, b"zeros"), before=False)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [0, 4_999])
def test_a_file_larger_than_its_header_says_is_refused(refused, kind, size):
    assert "damaged" in refused(patched(zipped(GOOD, kind), 22, "I", size, b"train_photo/1"), before=False)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_file_smaller_than_its_header_says_is_unpacked(unpacked, kind):
    assert unpacked(patched(zipped(GOOD, kind), 22, "I", 20_000, b"train_photo/1")) == GOOD


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("at", [20, 2_500, -100], ids=["begin", "middle", "end"])
def test_damaged_data_is_named_and_leaves_nothing(refused, kind, at):
    data = bytearray(zipped({**GOOD, "train_photo/z": random.Random(9).randbytes(5_000)}, kind))
    header = data.rfind(LOCAL)
    begin, end = header + 30 + len("train_photo/z"), data.find(CENTRAL)
    data[at % (end - begin) + begin] ^= 0xFF
    message = refused(bytes(data), before=False)
    assert "damaged" in message and "train_photo/z: " in message


@pytest.mark.parametrize("header", [LOCAL, CENTRAL], ids=["local", "central"])
@pytest.mark.parametrize("letters", [b"\xff\xff", b"\xc3\xa8", b"\xc3\xc3"], ids=["no UTF-8", "other", "half"])
def test_a_damaged_name_is_refused(refused, header, letters):
    begin, name, end = zipped(GOOD | {"train_photo/é.jpg": b""}).rpartition(header)
    assert "damaged" in refused(begin + name + end.replace("é".encode(), letters, 1), before=False)


@pytest.mark.parametrize("kept", [0, 3, 30, 3_000, -30, -1])
def test_a_truncated_archive_is_refused(refused, kept):
    assert "damaged" in refused(zipped(GOOD)[:kept])


@pytest.mark.parametrize("offset", [0, 1, 1 << 20, 0xFFFFFFFE])
def test_a_wrong_offset_of_the_directory_is_refused(refused, offset):
    data = bytearray(zipped(GOOD))
    struct.pack_into("<I", data, len(data) - 6, offset)
    assert "damaged" in refused(bytes(data), before=False)


@pytest.mark.parametrize("data", [b"a text\n" * 100, b"\x89PNG", bytes(1000)], ids=["text", "png", "zeros"])
def test_a_file_that_is_no_archive_is_refused(refused, data):
    assert "not a zip file" in refused(data)


@pytest.mark.parametrize("files", [{}, {"train_photo/": b""}, {"__MACOSX/a": b"a"}], ids=["none", "folder", "litter"])
def test_an_empty_archive_is_refused(refused, files):
    assert "is empty" in refused(zipped(files))


@pytest.mark.parametrize("files", [{"photos/a.jpg": b"a"}, {"train_photo": b"a"}, {"train_photos/a.jpg": b"a"}])
def test_an_archive_without_the_wanted_folder_is_refused(refused, files):
    assert "has no train_photo in it" in refused(zipped(files), before=False)


def test_a_full_disk_is_one_line_and_leaves_nothing(refused):
    data = zipped(GOOD | {"train_photo/large.jpg": random.Random(4).randbytes(8_000) * 5})
    with file_size_limit(30_000):
        assert "/set: cannot be written (File too large)" in refused(data, kind=OutputError, before=False)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(GOOD))
    with pytest.raises(OutputError, match=r"^.*/a.zip/in/\S*: cannot be written \(Not a directory\)$"):
        unpack(tmp_path / "a.zip", tmp_path / "a.zip/in/set", "train_photo")


def test_a_missing_archive_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^\S*/a.zip: .*(No such file|not a zip)"):
        unpack(tmp_path / "a.zip", tmp_path / "set", "train_photo")
    assert tree(tmp_path) == {}
