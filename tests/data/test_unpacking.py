"""Archives as they should be, and as they should not."""

import io
import random
import shutil
import stat
import struct
import zipfile
from collections import namedtuple

import pytest

from ppcartoon.data import download
from ppcartoon.data.download import unpack
from ppcartoon.errors import InputError, OutputError

GOOD = {f"train_photo/{i}.jpg": random.Random(i).randbytes(5_000) for i in range(3)} | {"Hayao/style/a.jpg": b"a"}
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
KINDS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
Disk = namedtuple("Disk", "free")


def zipped(files, kind=zipfile.ZIP_DEFLATED):
    """A zip file of contents by names, or by `ZipInfo`s."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return out.getvalue()


def patched(data, at, fmt, value, name=b""):
    """An archive with another figure in both headers of the entry of that name; `at` is its place in the local one."""
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
    """Unpacks an archive, and gives the files of the new folder."""

    def unpacked(data):
        (tmp_path / "a.zip").write_bytes(data)
        unpack(tmp_path / "a.zip", tmp_path / "set", "train_photo")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "set"]
        return {name: data for name, data in tree(tmp_path / "set").items() if data is not None}

    return unpacked


@pytest.fixture
def refused(tmp_path):
    """Unpacks an archive in vain, and gives the one line that says why; `before` anything was written."""

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
def test_the_folder_that_has_it_becomes_the_target(unpacked, root, kind):
    assert unpacked(zipped({root + name: data for name, data in GOOD.items()}, kind)) == GOOD


def test_the_outermost_folder_that_has_it_counts(unpacked):
    files = GOOD | {f"A/{name}": data for name, data in GOOD.items()}
    assert unpacked(zipped(files)) == files


def test_names_stay_as_they_are(unpacked):
    files = {
        f"train_photo/{name}": name.encode() for name in ("a b.jpg", "é.jpg", "日本.jpg", "c:d.jpg", "~", "-rf", "..x")
    }
    assert unpacked(zipped(files)) == files


def test_backslashes_divide_folders(unpacked):
    assert unpacked(zipped({name.replace("/", "\\"): data for name, data in GOOD.items()})) == GOOD


def test_litter_is_left_out(unpacked):
    litter = ["__MACOSX/train_photo/._0.jpg", "train_photo/.DS_Store", "Hayao/Thumbs.db", "desktop.ini"]
    assert unpacked(zipped(GOOD | dict.fromkeys(litter, b"litter"))) == GOOD


def test_folders_of_their_own_in_the_list_change_nothing(unpacked):
    folders = dict.fromkeys(["train_photo/", "Hayao/", "Hayao/style/", "empty/"], b"")
    assert unpacked(zipped(folders | GOOD)) == GOOD


def test_what_a_killed_run_left_is_gone(tmp_path, unpacked):
    left = tmp_path / ".set.partial/train_photo/left.jpg"
    left.parent.mkdir(parents=True)
    left.touch()
    assert unpacked(zipped(GOOD)) == GOOD


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "..", "train_photo/../../evil", "train_photo/..", "../evil/", "/evil", "//evil", "/", "C:/evil",
        "C:evil", "\\evil", "..\\evil", "train_photo\\..\\..\\evil", "C:\\evil", "\\\\server\\evil",
    ],
)  # fmt: skip
def test_what_leads_out_is_refused(refused, name):
    assert "leads out of the folder" in refused(zipped({**GOOD, name: b"evil"}))


def test_an_entry_without_a_name_is_refused(refused):
    refused(zipped({**GOOD, "nameless": b"evil"}).replace(b"nameless", bytes(8)))


@pytest.mark.parametrize("target", ["/etc/passwd", "0.jpg", "../../evil"])
def test_a_link_is_refused(refused, target):
    link = zipfile.ZipInfo("train_photo/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "'train_photo/link' is a link" in refused(zipped([*GOOD.items(), (link, target)]))


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99], ids=["bzip2", "lzma", "unknown"])
def test_what_is_packed_in_another_way_is_refused(refused, kind):
    data = zipped(GOOD, kind) if kind != 99 else patched(zipped(GOOD), 8, "H", kind, b"Hayao")
    assert "is packed in an unusual way" in refused(data)


def test_encryption_is_refused(refused):
    assert "'Hayao/style/a.jpg' is encrypted" in refused(patched(zipped(GOOD), 6, "H", 1, b"Hayao"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "twin", ["train_photo/0.jpg", "./train_photo/0.jpg", "train_photo//0.jpg", "train_photo\\0.jpg"]
)
def test_the_same_name_twice_is_refused(refused, twin):
    assert "is there twice" in refused(zipped([*GOOD.items(), (twin, b"twin")]))


@pytest.mark.parametrize("files", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}], ids=["file first", "folder first"])
def test_a_file_and_a_folder_of_one_name_are_refused(refused, files):
    refused(zipped(GOOD | files), kind=OutputError, before=False)


def test_a_bomb_is_refused(refused):
    assert "105 MB out of 0 MB are no images" in refused(zipped({**GOOD, "zeros": bytes(100 << 20)}))


def test_many_small_bombs_are_refused_as_well(refused):
    assert "are no images" in refused(zipped({f"train_photo/{i}": bytes(100_000) for i in range(100)}))


def test_too_many_files_are_refused(refused, monkeypatch):
    monkeypatch.setattr(download, "ENTRIES", len(GOOD) - 1)
    assert "refused, 4 files" in refused(zipped(GOOD))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_bomb_that_lies_about_its_size_is_refused(refused, kind):
    refused(patched(zipped({**GOOD, "zeros": bytes(20 << 20)}, kind), 22, "I", 1000, b"zeros"), before=False)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("size", [0, 4_999])
def test_a_file_that_is_larger_than_announced_is_refused(refused, kind, size):
    assert "damaged" in refused(patched(zipped(GOOD, kind), 22, "I", size, b"train_photo/1"), before=False)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_file_that_is_smaller_than_announced_comes_out_as_it_is(unpacked, kind):
    assert unpacked(patched(zipped(GOOD, kind), 22, "I", 20_000, b"train_photo/1")) == GOOD


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("at", [20, 2_500, -100], ids=["begin", "middle", "end"])
def test_damage_in_the_last_of_several_leaves_nothing(refused, kind, at):
    data = bytearray(zipped({**GOOD, "train_photo/z": random.Random(9).randbytes(5_000)}, kind))
    header = data.rfind(LOCAL)
    begin, end = header + 30 + len("train_photo/z"), data.find(CENTRAL)
    data[at % (end - begin) + begin] ^= 0xFF
    assert "damaged" in refused(bytes(data), before=False)


@pytest.mark.parametrize("header", [LOCAL, CENTRAL], ids=["local", "central"])
@pytest.mark.parametrize("letters", [b"\xff\xff", b"\xc3\xa8", b"\xc3\xc3"], ids=["no UTF-8", "other", "half"])
def test_a_damaged_name_is_refused(refused, header, letters):
    begin, name, end = zipped(GOOD | {"train_photo/é.jpg": b""}).rpartition(header)
    assert "damaged" in refused(begin + name + end.replace("é".encode(), letters, 1), before=False)


@pytest.mark.parametrize("kept", [0, 3, 30, 3_000, -30, -1])
def test_a_truncated_archive_is_refused(refused, kept):
    assert "damaged" in refused(zipped(GOOD)[:kept])


@pytest.mark.parametrize("offset", [0, 1, 1 << 20, 0xFFFFFFFE])
def test_a_list_that_is_elsewhere_than_announced_is_refused(refused, offset):
    data = bytearray(zipped(GOOD))
    struct.pack_into("<I", data, len(data) - 6, offset)
    assert "damaged" in refused(bytes(data), before=False)


@pytest.mark.parametrize("data", [b"a text\n" * 100, b"\x89PNG", bytes(1000)], ids=["text", "png", "zeros"])
def test_what_is_no_archive_is_refused(refused, data):
    assert "not a zip file" in refused(data)


@pytest.mark.parametrize("files", [{}, {"train_photo/": b""}, {"__MACOSX/a": b"a"}], ids=["none", "folder", "litter"])
def test_an_archive_of_nothing_is_refused(refused, files):
    assert "has nothing in it" in refused(zipped(files))


@pytest.mark.parametrize("files", [{"photos/a.jpg": b"a"}, {"train_photo": b"a"}, {"train_photos/a.jpg": b"a"}])
def test_an_archive_of_something_else_is_refused(refused, files):
    assert "has no train_photo in it" in refused(zipped(files), before=False)


def test_a_too_small_disk_is_refused(refused, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(download.SPARE + 10_000))
    assert "0 MB are needed" in refused(zipped(GOOD), kind=OutputError, before=False)


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(GOOD))
    with pytest.raises(OutputError, match=r"^.*/a.zip/in/\S*: cannot be written \(Not a directory\)$"):
        unpack(tmp_path / "a.zip", tmp_path / "a.zip/in/set", "train_photo")


def test_no_archive_at_all_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^\S*/a.zip: .*(No such file|not a zip)"):
        unpack(tmp_path / "a.zip", tmp_path / "set", "train_photo")
    assert tree(tmp_path) == {}
