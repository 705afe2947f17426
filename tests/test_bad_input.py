"""Photos, names and output folders that are not as they should be: a line for each, and the rest goes on."""

import os
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppcartoon import InputError, images, weights
from ppcartoon.cli import infer
from tests.helpers.bombs import BOMBS, FOREIGN, LONG, UNPACKED, ico_of, made, tiff_with
from tests.helpers.damage import outcome
from tests.helpers.samples import photo

INFER = Path(__file__).parents[1] / "tools" / "infer.py"


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_by_their_headers(tmp_path, kind):
    (tmp_path / "a").write_bytes(BOMBS[kind])
    with pytest.raises(InputError, match="more pixels than"):
        images.read(tmp_path / "a")
    assert outcome(images.read, tmp_path / "a") is None


@pytest.mark.parametrize("kind", LONG)
def test_rows_without_end_are_refused(tmp_path, kind):
    """They are few pixels, and yet a decoder of WebP, for one, would be at them for minutes."""
    (tmp_path / "a").write_bytes(LONG[kind])
    with pytest.raises(InputError, match="no side may be longer than 262144 pixels"):
        images.read(tmp_path / "a")
    assert outcome(images.read, tmp_path / "a") is None


@pytest.mark.parametrize("kind", UNPACKED)
def test_metadata_that_unpack_to_a_flood_are_refused(tmp_path, kind):
    (tmp_path / "a").write_bytes(UNPACKED[kind])
    assert outcome(images.read, tmp_path / "a") is None


@pytest.mark.parametrize(
    "data",
    [
        tiff_with(0x117, 0xFFFFFFF0),
        ico_of(made("PNG"), 5000),
        made("WEBP", save_all=True, lossless=True),
        made("PNG", exif=b"MM\0*nothing"),
    ],
    ids=["an endless strip", "thousands of icons", "an animation", "damaged EXIF"],
)
def test_what_is_only_strange_is_read(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert np.abs(outcome(images.read, tmp_path / "a").rgb.astype(int) - photo(24, 32)).mean() < 9


def test_nothing_is_said_but_by_us(tmp_path):
    """Pillow warns and logs, libtiff prints: all of a large image, and of damaged ones."""
    files = {
        "large.png": made("PNG"),
        "samples.tif": tiff_with(0x115, 43),
        "packed.tif": made("TIFF", compression="tiff_lzw").replace(b"\x80\x00", b"\xff\xff"),
        "exif.tif": made("TIFF", exif=b"MM\0*\0\0\0\x08\0\x09"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    program = """import sys; from pathlib import Path; from PIL import Image; from ppcartoon import images, InputError
for path in sorted(Path(sys.argv[1]).iterdir()):
    Image.MAX_IMAGE_PIXELS = 700 if path.stem == "large" else 1 << 20
    try: print(path.name, images.read(path).rgb.shape)
    except InputError as error: print(path.name, error)
"""
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=INFER.parents[1])
    assert done.stderr == "" and len(done.stdout.splitlines()) == len(files)
    assert "large.png (24, 32, 3)" in done.stdout


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_file, capsys):
    """Runs the command line with the tiny network, in an empty folder with a folder `photos` of two photos."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i in (1, 2):
        Path(f"photos/{i}.png").write_bytes(made("PNG"))

    def run(*arguments):
        code = infer.main([*map(str, arguments), "--weights", str(tiny_file)])
        return code, *capsys.readouterr()

    return run


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_a_folder_of_everything_that_is_no_photo(run):
    for i, data in enumerate([*BOMBS.values(), *UNPACKED.values(), *FOREIGN.values()]):
        Path(f"photos/bad{i:02d}.jpg").write_bytes(data)
    Path("photos/folder.png").mkdir()
    os.mkfifo("photos/pipe.png")
    os.symlink("nowhere", "photos/link.png")
    os.symlink("/dev/zero", "photos/zero.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("photos/socket.png")
    code, out, err = run("-i", "photos")
    bad = len(BOMBS) + len(UNPACKED) + len(FOREIGN)
    assert code == 1 and out.startswith(f"2 cartoons in output, {bad + 1} failed")  # the link is a file that is missing
    named = sorted(line.split(": ")[1] for line in err.splitlines())
    assert named == [f"photos/bad{i:02d}.jpg" for i in range(bad)] + ["photos/link.png"]
    assert everything("output") == ["1.png", "2.png"]


@pytest.mark.parametrize("name", ["pipe", "socket", "/dev/zero", "loop"])
def test_what_is_no_file_is_refused_where_it_is_named(run, name):
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    code, _, err = run("-i", name, "photos/1.png", "-o", "output")
    assert code == 1 and err.startswith(f"ppcartoon: {name}: ") and err.count("\n") == 1
    assert everything("output") == ["1.png"]


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_the_smallest_and_the_longest(run, size):
    Image.fromarray(photo(*size)).save("long.png")
    assert run("-i", "long.png")[0] == 0
    with Image.open("output/long.png") as image:
        assert image.size == size[::-1]
    code, _, err = run("-i", "long.png", "--ext", "webp", "-o", "webp")
    assert code == (max(size) > 16383) and err.count("\n") == code


def test_a_name_that_is_wrong_only_for_one_cartoon_stops_no_other(run):
    Path("output/1.png").mkdir(parents=True)
    Path("photos/" + "n" * 250 + ".png").write_bytes(made("PNG"))
    shutil.copy("photos/2.png", "photos/z.png")
    code, out, err = run("-i", "photos")
    assert code == 1 and "3 cartoons in output, 1 failed" in out
    assert "output/1.png: cannot be written (Is a directory)" in err
    code, out, err = run("-i", "photos", "--suffix", "_pair", "-o", "pairs")
    assert code == 1 and "3 cartoons in pairs, 1 failed" in out and "File name too long" in err
    assert everything("pairs") == ["1_pair.png", "2_pair.png", "z_pair.png"]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\u2028", "\udce9", "\u202e"])
def test_messages_are_one_printable_line_whatever_names_are_like(run, name):
    code, _, err = run("-i", name)
    assert code == 2 and err.endswith(": no such file or folder\n") and err[:-1].isprintable()


def test_a_message_that_quotes_a_file_at_length_keeps_its_ends():
    message = str(InputError(f"a.png: {'x' * 5000}: use another"))
    assert len(message) <= 1000 and message.startswith("a.png: xxx") and message.endswith("xxx: use another")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\u2028", "\udce9"])
def test_so_are_the_names_of_photos_and_folders(run, name):
    Path(f"photos/{name}.png").write_bytes(b"")
    code, out, err = run("-i", "photos", "-o", name)
    assert code == 1 and out[:-1].isprintable() and err[:-1].isprintable()
    assert everything(name) == ["1.png", "2.png"]


def test_a_full_disk_leaves_nothing_half_written(run, tiny_file):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save("photos/2.png")
    done = subprocess.run(
        [sys.executable, INFER, "-i", "photos", "-w", tiny_file],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
    )
    assert done.returncode == 2
    assert done.stderr == "ppcartoon: output/2.png: cannot be written (File too large)\n"
    assert os.listdir("output") == ["1.png"]


@pytest.fixture
def meanwhile(monkeypatch):
    """Has something happen before the second photo is read, or its cartoon written."""

    def meanwhile(happens, before="write"):
        plain = getattr(images, before)

        def call(path, *more):
            if path.name == "2.png":
                happens()
            return plain(path, *more)

        monkeypatch.setattr(images, before, call)

    return meanwhile


def test_an_output_folder_that_disappears_is_made_again(run, meanwhile):
    meanwhile(lambda: shutil.rmtree("output"))
    code, _, err = run("-i", "photos")
    assert code == 0 and err == "" and everything("output") == ["2.png"]


def test_an_output_folder_that_becomes_a_file_ends_the_run(run, meanwhile):
    meanwhile(lambda: (os.rename("output", "moved"), Path("output").touch()))
    code, _, err = run("-i", "photos")
    assert code == 2 and err == "ppcartoon: output: a file is there, where a folder is needed\n"
    assert everything("moved") == ["1.png"] and Path("output").read_bytes() == b""


def test_photos_that_disappear_are_named(run, meanwhile):
    meanwhile(lambda: os.remove("photos/2.png"), before="read")
    code, _, err = run("-i", "photos")
    assert code == 1 and err == "ppcartoon: photos/2.png: cannot be read (No such file or directory)\n"


def test_an_endless_weights_file_is_not_read(tmp_path):
    with open(tmp_path / "a.safetensors", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="larger than a weights file can be"):
        weights.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_names_that_no_file_can_have(predictor, name):
    with pytest.raises(InputError, match=r"cannot be read|damaged"):
        predictor(name)
