"""Invalid photos, names and output folders: each gives a one-line message, and the other photos are cartoonized."""

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
from tests.helpers.bombs import BOMBS, METADATA_BOMBS, NOT_IMAGES, TOO_LONG, encoded, ico_of, tiff_with
from tests.helpers.damage import outcome
from tests.helpers.samples import photo

INFER = Path(__file__).parents[1] / "tools" / "infer.py"


@pytest.mark.parametrize(
    "data, message",
    [(data, "more pixels than") for data in BOMBS.values()]
    + [(data, "no side may be longer than 262144 pixels") for data in TOO_LONG.values()]
    + [(data, None) for data in METADATA_BOMBS.values()],
    ids=[*BOMBS, *(f"a long side in a {kind}" for kind in TOO_LONG), *METADATA_BOMBS],
)
def test_image_that_would_take_too_much_memory_or_time_is_refused_before_decoding(tmp_path, data, message):
    """Also an image of few pixels in very long rows, for which a WebP decoder takes minutes."""
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=message):
        images.read(tmp_path / "a")
    assert outcome(images.read, tmp_path / "a") is None


@pytest.mark.parametrize(
    "data",
    [
        tiff_with(0x117, 0xFFFFFFF0),
        ico_of(encoded("PNG"), 5000),
        encoded("WEBP", save_all=True, lossless=True),
        encoded("PNG", exif=b"MM\0*nothing"),
    ],
    ids=["strip of 4 GB", "thousands of icons", "animation", "damaged EXIF"],
)
def test_unusual_but_harmless_images_are_read(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert np.abs(outcome(images.read, tmp_path / "a").rgb.astype(int) - photo(24, 32)).mean() < 9


def test_decoders_print_nothing(tmp_path):
    """Pillow would warn and log, and libtiff print, about a large image and damaged ones."""
    files = {
        "large.png": encoded("PNG"),
        "samples.tif": tiff_with(0x115, 43),
        "packed.tif": encoded("TIFF", compression="tiff_lzw").replace(b"\x80\x00", b"\xff\xff"),
        "exif.tif": encoded("TIFF", exif=b"MM\0*\0\0\0\x08\0\x09"),
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
    """Runs `ppcartoon` with the tiny network in an empty folder with two photos in `photos`."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i in (1, 2):
        Path(f"photos/{i}.png").write_bytes(encoded("PNG"))

    def run(*arguments):
        code = infer.main([*map(str, arguments), "--weights", str(tiny_file)])
        return code, *capsys.readouterr()

    return run


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


DAMAGED_GIFS = (
    "474946383961200020 00f1030000000000ff0000ffff00ffffffff21f904c90000002c000000f5ffff2905008f",
    "47494638376101000100 80ff001f00000101012c000000000100010000080400010404002c000000000100010099080400010404003b",
)


def test_animations_give_a_remark_on_the_frames_left_out_and_damaged_ones_an_error(run):
    for i, data in enumerate(DAMAGED_GIFS):
        Path(f"photos/bad{i}.gif").write_bytes(bytes.fromhex(data))
    more = [Image.new("RGB", (32, 24), color) for color in ("red", "blue")]
    Image.fromarray(photo(24, 32)).save("photos/moving.webp", save_all=True, append_images=more)
    code, out, err = run("photos", "--ext", "jpg")
    assert code == 1 and "2 failed" in out
    assert sorted(line.split(": ")[1] for line in err.splitlines()) == [
        "photos/bad0.gif", "photos/bad1.gif", "photos/moving.webp",
    ]  # fmt: skip
    assert "photos/moving.webp: the first of 3 frames is used, 2 left out\n" in err
    assert {"1.jpg", "2.jpg", "moving.jpg"} <= set(files("output"))
    assert run("photos/moving.webp", "--ext", "jpg")[0] == 0


def test_folder_with_invalid_photos_gives_cartoons_of_the_valid_ones_and_a_line_for_each_other(run):
    invalid = [*BOMBS.values(), *METADATA_BOMBS.values(), *NOT_IMAGES.values()]
    for i, data in enumerate(invalid):
        Path(f"photos/bad{i:02d}.jpg").write_bytes(data)
    Path("photos/folder.png").mkdir()
    os.mkfifo("photos/pipe.png")
    os.symlink("nowhere", "photos/link.png")
    os.symlink("/dev/zero", "photos/zero.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("photos/socket.png")
    code, out, err = run("-i", "photos")
    count = len(invalid) + 1  # the link counts as a missing file; pipe, socket and device are left out
    assert code == 1 and out.startswith(f"2 cartoons in output, {count} failed")
    reported = sorted(line.split(": ")[1] for line in err.splitlines())
    assert reported == [f"photos/bad{i:02d}.jpg" for i in range(len(invalid))] + ["photos/link.png"]
    assert files("output") == ["1.png", "2.png"]


@pytest.mark.parametrize("name", ["pipe", "socket", "/dev/zero", "loop"])
def test_input_that_is_not_a_regular_file_is_refused(run, name):
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    code, _, err = run("-i", name, "photos/1.png", "-o", "output")
    assert code == 1 and err.startswith(f"ppcartoon: {name}: ") and err.count("\n") == 1
    assert files("output") == ["1.png"]


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_tiny_and_very_long_photos_are_cartoonized(run, size):
    Image.fromarray(photo(*size)).save("long.png")
    assert run("-i", "long.png")[0] == 0
    with Image.open("output/long.png") as image:
        assert image.size == size[::-1]
    code, _, err = run("-i", "long.png", "--ext", "webp", "-o", "webp")
    assert code == (max(size) > 16383) and err.count("\n") == code


def test_cartoon_that_cannot_be_written_under_its_name_fails_alone(run):
    Path("output/1.png").mkdir(parents=True)
    Path("photos/" + "n" * 250 + ".png").write_bytes(encoded("PNG"))
    shutil.copy("photos/2.png", "photos/z.png")
    code, out, err = run("-i", "photos")
    assert code == 1 and "3 cartoons in output, 1 failed" in out
    assert "output/1.png: cannot be written (Is a directory)" in err
    code, out, err = run("-i", "photos", "--suffix", "_pair", "-o", "pairs")
    assert code == 1 and "3 cartoons in pairs, 1 failed" in out and "File name too long" in err
    assert files("pairs") == ["1_pair.png", "2_pair.png", "z_pair.png"]


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\u2028", "\udce9", "\u202e"])
def test_unprintable_names_are_escaped_in_messages(run, name):
    code, _, err = run("-i", name)
    assert code == 2 and err.endswith(": no such file or folder\n") and err[:-1].isprintable()
    Path(f"photos/{name}.png").write_bytes(b"")
    code, out, err = run("-i", "photos", "-o", name)
    assert code == 1 and out[:-1].isprintable() and err[:-1].isprintable()
    assert files(name) == ["1.png", "2.png"]


def test_long_message_keeps_its_start_and_end():
    message = str(InputError(f"a.png: {'x' * 5000}: use another"))
    assert len(message) <= 1000 and message.startswith("a.png: xxx") and message.endswith("xxx: use another")


def test_full_disk_ends_the_run_with_a_summary_and_leaves_no_partial_file(run, tiny_file):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save("photos/2.png")
    shutil.copy("photos/2.png", "photos/3.png")
    done = subprocess.run(
        [sys.executable, INFER, "-i", "photos", "-w", tiny_file],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
    )
    assert done.returncode == 1
    assert done.stderr == "ppcartoon: output/2.png: cannot be written (File too large)\n"
    assert done.stdout.startswith("1 cartoon in output, 2 failed; ")
    assert os.listdir("output") == ["1.png"]


@pytest.fixture
def before_second_photo(monkeypatch):
    """Calls `action` before the second photo is read, or before its cartoon is written."""

    def before_second_photo(action, step="write"):
        original = getattr(images, step)

        def call(path, *arguments):
            if path.name == "2.png":
                action()
            return original(path, *arguments)

        monkeypatch.setattr(images, step, call)

    return before_second_photo


def test_output_folder_that_is_removed_during_the_run_is_created_again(run, before_second_photo):
    before_second_photo(lambda: shutil.rmtree("output"))
    code, _, err = run("-i", "photos")
    assert code == 0 and err == "" and files("output") == ["2.png"]


def test_output_folder_that_becomes_a_file_ends_the_run(run, before_second_photo):
    before_second_photo(lambda: (os.rename("output", "moved"), Path("output").touch()))
    code, _, err = run("-i", "photos")
    assert code == 2 and err == "ppcartoon: output: a file is there, where a folder is needed\n"
    assert files("moved") == ["1.png"] and Path("output").read_bytes() == b""


def test_photo_that_is_removed_during_the_run_is_reported(run, before_second_photo):
    before_second_photo(lambda: os.remove("photos/2.png"), step="read")
    code, _, err = run("-i", "photos")
    assert code == 1 and err == "ppcartoon: photos/2.png: cannot be read (No such file or directory)\n"


def test_huge_weights_file_is_refused_without_reading_it(tmp_path):
    with open(tmp_path / "a.safetensors", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="larger than a weights file can be"):
        weights.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_predictor_refuses_names_that_no_file_can_have(predictor, name):
    with pytest.raises(InputError, match=r"cannot be read|damaged"):
        predictor(name)
