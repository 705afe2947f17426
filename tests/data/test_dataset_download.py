"""The download and unpacking of AnimeGAN's data set, and `prepare download`."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ppcartoon.cli import prepare
from ppcartoon.data import download
from ppcartoon.errors import InputError
from tests.helpers.animegan_dataset import ARCHIVE, COUNTS, checksum, contents, images, zipped
from tests.helpers.download_server import Fault, names, until_written

TOOL = Path(__file__).parents[2] / "tools" / "prepare_data.py"


@pytest.fixture
def offline(origin, monkeypatch):
    """The URLs of origins that cannot be reached."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(download, "PAUSE", -1)  # a second attempt fails
        for what, url in origin.items():
            origin[what] = re.sub(r":\d+/", f":{unused.getsockname()[1]}/", url)
            monkeypatch.setitem(download.SOURCES, what, download.SOURCES[what]._replace(url=origin[what]))
        yield origin


@pytest.fixture
def run(capsys):
    """Runs the command; returns exit code, standard output and error."""

    def run(*arguments):
        try:
            code = prepare.main([*map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def tool(*arguments):
    """Runs the tool in another process."""
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("root", ["dataset/", ""])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_data_set_is_downloaded_and_unpacked(web, origin, tmp_path, root, mirror):
    url = web.put("/mirror/d.zip" if mirror else "/dataset/dataset.zip", zipped(images(), root))
    dataset = download.download_dataset(tmp_path / "data", url if mirror else None)
    assert dataset == tmp_path / "data/dataset"
    assert contents(dataset) == images()
    assert download.count_images(dataset) == COUNTS
    assert names(tmp_path / "data") == ["dataset", "dataset.zip"] and len(web.log) == 1


def test_missing_folders_have_no_images(tmp_path):
    counts = {folder: number for folder, number in COUNTS.items() if "HR" not in folder and "Paprika" not in folder}
    for name, data in (images(counts) | {"Paprika/style/notes.txt": b"", "train_photo/._0.jpg": b""}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert download.count_images(tmp_path) == COUNTS | {"test/HR_photo": 0, "Paprika/style": 0}


def test_a_second_call_does_nothing(web, origin, tmp_path):
    dataset = download.download_dataset(tmp_path)
    (dataset / "train_photo/0.jpg").write_bytes(b"mine")
    (tmp_path / "dataset.zip").unlink()
    assert download.download_dataset(tmp_path) == dataset
    assert (dataset / "train_photo/0.jpg").read_bytes() == b"mine"
    assert len(web.log) == 1 and names(tmp_path) == ["dataset"]


def test_the_data_set_is_resumed_from_its_origin_but_not_from_an_unverified_mirror(web, origin, tmp_path):
    (tmp_path / "dataset.zip.part").write_bytes(ARCHIVE[:1000])
    assert contents(download.download_dataset(tmp_path)) == images()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/dataset.zip.part").write_bytes(ARCHIVE[:1000])
    assert contents(download.download_dataset(tmp_path / "b", web.put("/mirror.zip", ARCHIVE))) == images()
    assert web.log == [("/dataset/dataset.zip", "bytes=1000-"), ("/mirror.zip", None)]


def test_a_given_checksum_of_the_data_set_is_verified(web, origin, tmp_path):
    assert contents(download.download_dataset(tmp_path, checksum=checksum(ARCHIVE))) == images()
    with pytest.raises(InputError, match=f"cannot be downloaded: .*{checksum(ARCHIVE)}"):
        download.download_dataset(tmp_path / "b", checksum=checksum(b""))
    assert not (tmp_path / "b/dataset").exists()


def test_an_archive_saved_by_hand_is_unpacked_without_a_download(offline, tmp_path):
    (tmp_path / "dataset.zip").write_bytes(ARCHIVE)
    assert contents(download.download_dataset(tmp_path)) == images()


@pytest.mark.parametrize("what, name", [(key, source.name) for key, source in download.SOURCES.items()])
def test_without_a_connection_one_line_says_what_to_download_and_where_to_save_it(offline, run, tmp_path, what, name):
    code, out, err = run("download", what, "-o", tmp_path / "data")
    assert code == 2 and out == "" and err.count("\n") == 1
    known = [download.SOURCES[what].checksum] if what != "dataset" else []
    assert all(part in err for part in (offline[what], f"{tmp_path}/data/{name}", *known))


@pytest.mark.parametrize("what, data", [("vgg19", b"features"), ("inception", b"distances")])
def test_weights_go_into_the_cache_or_the_given_folder(web, origin, run, tmp_path, what, data):
    for folder, arguments in ((tmp_path / "home/.cache/ppgan", ()), (tmp_path / "mine", ("-o", tmp_path / "mine"))):
        for _ in range(2):
            assert run("download", what, *arguments) == (0, f"{folder / download.SOURCES[what].name}\n", "")
        assert contents(folder) == {download.SOURCES[what].name: data}
    assert len(web.log) == 2


@pytest.mark.parametrize("what", ["vgg19", "inception"])
def test_weights_from_a_mirror_must_have_the_published_checksum(web, origin, run, tmp_path, what):
    code, out, err = run("download", what, "-o", tmp_path, "--url", web.put("/mirror", b"other"))
    assert code == 2 and out == "" and err.count("\n") == 1
    assert download.SOURCES[what].checksum in err and download.SOURCES[what].name not in names(tmp_path)


def test_several_files_are_downloaded_by_one_command(web, origin, run, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAPER", COUNTS)
    code, out, err = run("download", "vgg19", "dataset", "inception", "-o", tmp_path)
    assert (code, err) == (0, "") and len(web.log) == 3
    assert names(tmp_path) == sorted(["dataset", *(source.name for source in download.SOURCES.values())])
    places = [out.index(f"{tmp_path}/{name}") for name in ("vgg19_no_fc.npy", "dataset\n", "pt_inception")]
    assert places == sorted(places)


def test_the_paper_s_numbers_of_images_exit_with_0(web, origin, run, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAPER", COUNTS)
    monkeypatch.chdir(tmp_path)
    code, out, err = run("download")
    assert (code, err) == (0, "")
    rows = [f"| {folder} | {number} | {number} |" for folder, number in COUNTS.items()]
    assert out.splitlines() == ["data/dataset", "| folder | images | in the paper |", "|---|---:|---:|", *rows, ""]
    assert contents(Path("data/dataset")) == images()


def test_other_numbers_of_images_exit_with_1(web, tmp_path):
    url = web.put("/dataset.zip", ARCHIVE)
    for _ in range(2):
        done = tool("download", "--url", url, "-o", tmp_path)
        assert done.returncode == 1 and "| train_photo | 2 | 6656 |\n" in done.stdout
        assert done.stderr.startswith(
            f"ppcartoon prepare: {tmp_path}/dataset does not have the paper's numbers of images; training uses "
        )
        assert done.stderr.count("\n") == 1 and done.stdout.count("\n") == 4 + len(COUNTS)
    assert len(web.log) == 1


@pytest.mark.parametrize("form", ["{}", "file://{}"], ids=["path", "file URL"])
def test_a_data_set_on_this_machine_is_unpacked_without_a_copy(run, tmp_path, form):
    archive = tmp_path / "mounted 1/dataset.zip"
    archive.parent.mkdir()
    archive.write_bytes(ARCHIVE)
    url = form.format(str(archive).replace(" ", "%20") if "file" in form else archive)
    code, out, err = run("download", "--url", url, "--checksum", checksum(ARCHIVE), "-o", tmp_path / "data")
    assert code == 1 and err.count("\n") == 1  # the paper has more images
    assert contents(tmp_path / "data/dataset") == images() and names(tmp_path / "data") == ["dataset"]
    assert "| test/test_photo256 | " in out and "| test/test_photo | " in out
    code, _, err = run("download", "--url", url, "--checksum", f"sha256:{64 * '0'}", "-o", tmp_path / "other")
    assert code == 2 and f"{archive}: has {checksum(ARCHIVE)} instead of " in err
    assert archive.read_bytes() == ARCHIVE


def test_weights_on_this_machine_are_copied_and_verified(origin, run, tmp_path):
    (tmp_path / "vgg.npy").write_bytes(b"features")
    code, out, err = run("download", "vgg19", "--url", tmp_path / "vgg.npy", "-o", tmp_path / "weights")
    assert (code, err) == (0, "") and Path(out.strip()).read_bytes() == b"features"
    (tmp_path / "vgg.npy").write_bytes(b"damaged")
    code, out, err = run("download", "vgg19", "--url", tmp_path / "vgg.npy", "-o", tmp_path / "new")
    assert code == 2 and err.count("\n") == 1 and names(tmp_path / "new") == []


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_an_interrupted_download_is_resumed_by_the_same_command(web, tmp_path, how, code):
    files = images() | {"train_photo/large.jpg": bytes(200_000)}
    url, known = web.put("/dataset.zip", zipped(files)), checksum(zipped(files))
    web.fail_next(Fault(stall=150_000))
    command = [sys.executable, TOOL, "download", "--url", url, "--checksum", known, "-o", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until_written(tmp_path / "dataset.zip.part", 100_000, process)
    process.send_signal(how)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code and out == "" and err.count("\n") == 1
    have = (tmp_path / "dataset.zip.part").stat().st_size
    assert contents(download.download_dataset(tmp_path, url, known)) == files
    assert web.requested == [None, f"bytes={have}-"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nothing"], "nothing: unknown; choose from dataset, vgg19, inception"),
        (["dataset", "nothing"], "nothing: unknown"),
        (["--checksum", "sha256:" + "0" * 64], "sha256:" + "0" * 64),
        (["--checksum", "wrong"], "wrong"),
        (["--url", "127.0.0.1/dataset.zip"], "127.0.0.1/dataset.zip: no such file; the address of a server begins"),
        (["--url", "file:///nowhere/dataset.zip"], "file:///nowhere/dataset.zip: no such file"),
        (["vgg19", "--url", "/nowhere/vgg.npy", "-o", "weights"], "/nowhere/vgg.npy: no such file"),
        (["dataset", "vgg19", "--url", "http://127.0.0.1/"], "--url: give one file only"),
        (["-o", "file"], "file/dataset.zip: cannot be written"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_mistakes_are_one_line_and_exit_with_2(web, origin, run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    code, out, err = run("download", *arguments)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1
    assert not Path("data/dataset").exists()


@pytest.mark.parametrize(
    "data", [b"<html>sign in</html>", ARCHIVE[:-100], zipped({"../../evil": b""})], ids=["page", "truncated", "evil"]
)
def test_another_file_than_the_data_set_is_one_line_and_exit_code_2(web, run, tmp_path, data):
    code, out, err = run("download", "--url", web.put("/dataset.zip", data), "-o", tmp_path)
    assert code == 2 and out == ""
    assert err.startswith(f"ppcartoon prepare: {tmp_path}/dataset.zip: ") and err.count("\n") == 1
    assert names(tmp_path) == ["dataset.zip"]
