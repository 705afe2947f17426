"""Edge smoothing of a folder: names of the smoothed files, existing files, errors, interruption."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppcartoon import images
from ppcartoon.data import check
from ppcartoon.data.edge_smoothing import smooth_edges, smooth_folder
from ppcartoon.data.image_folder import image_files, paired_files, write_png
from ppcartoon.data.samples import draw_cartoon
from ppcartoon.errors import InputError, OutputError
from tests.helpers.folders import drawn, save
from tests.helpers.training_runs import ROOT, wait_for

COMMAND = [sys.executable, str(ROOT / "tools/prepare_data.py"), "smooth"]


@pytest.fixture
def cartoons(tmp_path):
    """Five cartoons, 0.png to 4.png."""
    return drawn(tmp_path / "data", photos=0) / "cartoons"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def state(folder):
    """Bytes, time and inode of all files, and the folder's modification time."""
    found = {p: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir() if p.is_file()}
    return found, folder.stat().st_mtime_ns


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        return np.asarray(image)


def is_smoothed(path, cartoon):
    return np.array_equal(pixels(path), smooth_edges(images.on_white(images.read(cartoon))))


@pytest.mark.parametrize(
    "here, given",
    [
        (".", "data/cartoons"),
        ("data", "cartoons/"),
        ("data/cartoons", "."),
        ("data/cartoons/below", ".."),
        ("data", "./cartoons/../cartoons"),
    ],
)
def test_smoothed_files_go_beside_the_folder_however_its_path_is_written(cartoons, tmp_path, monkeypatch, here, given):
    (tmp_path / here).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    assert smooth_folder(Path(given))[1:] == (5, 0, {})
    assert names(tmp_path / "data") == ["cartoons", "smooth"]
    assert names(tmp_path / "data/smooth") == [f"{i}.png" for i in range(5)]


def test_smoothed_files_of_a_linked_folder_go_where_check_and_training_expect_them(cartoons, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/cartoons").symlink_to(cartoons)
    smooth_folder(tmp_path / "mine/cartoons")
    (style,) = check.layout(tmp_path / "mine").styles
    assert names(style["smooth"].parent) == ["cartoons", "smooth"]
    assert names(style["smooth"]) == names(cartoons)


def test_images_of_all_formats_are_smoothed_without_loss(tmp_path):
    cartoon = Image.fromarray(draw_cartoon(3, 48)[:32])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    gray = np.asarray(cartoon.convert("L"))
    kinds = {
        "photo.jpg": (cartoon, {"quality": 80}),
        "turned.jpeg": (cartoon, {"exif": exif}),
        "plain.png": (cartoon, {}),
        "lossy.webp": (cartoon, {"quality": 60}),
        "gray.png": (cartoon.convert("L"), {}),
        "palette.gif": (cartoon.convert("P", palette=Image.Palette.ADAPTIVE), {}),
        "alpha.png": (Image.merge("RGBA", [*cartoon.split(), Image.fromarray(gray)]), {}),
        "deep.png": (Image.fromarray(gray.astype(np.uint16) * 257), {}),
        "cmyk.tiff": (cartoon.convert("CMYK"), {}),
        "one_pixel.bmp": (cartoon.crop((0, 0, 1, 1)), {}),
    }
    (tmp_path / "cartoons").mkdir()
    for name, (image, options) in kinds.items():
        image.save(tmp_path / "cartoons" / name, **options)
    done = smooth_folder(tmp_path / "cartoons")
    assert done == (tmp_path / "smooth", len(kinds), 0, {})
    assert names(done.folder) == sorted(f"{Path(name).stem}.png" for name in kinds)
    assert all(is_smoothed(done.folder / f"{Path(name).stem}.png", tmp_path / "cartoons" / name) for name in kinds)
    assert pixels(done.folder / "turned.png").shape == (48, 32, 3)
    assert (pixels(done.folder / "plain.png") != np.asarray(cartoon)).any()


def test_smoothed_files_are_kept_until_their_cartoon_changes(cartoons):
    folder = smooth_folder(cartoons).folder
    for file in (*cartoons.iterdir(), *folder.iterdir()):
        os.utime(file, (1e9, 1e9))
    before = state(folder)
    assert smooth_folder(cartoons) == (folder, 0, 5, {})
    assert state(folder) == before
    save(cartoons / "2.png", draw_cartoon(99, 40))
    assert smooth_folder(cartoons) == (folder, 1, 4, {})
    after, changed = state(folder)[0], folder / "2.png"
    assert {path for path in after if after[path] != before[0][path]} == {changed}
    assert is_smoothed(changed, cartoons / "2.png")
    assert smooth_folder(cartoons) == (folder, 0, 5, {})


def test_smoothed_files_of_another_format_are_kept_and_not_made_again(cartoons, tmp_path):
    for name in ("0.jpg", "1.PNG", "2.webp"):
        save(tmp_path / "data/smooth" / name, draw_cartoon(50, 32))
        os.utime(tmp_path / "data/smooth" / name, (1e9, 1e9))
    before = state(tmp_path / "data/smooth")[0]
    assert smooth_folder(cartoons)[1:] == (2, 3, {})
    after = state(tmp_path / "data/smooth")[0]
    assert sorted(path.name for path in after) == ["0.jpg", "1.PNG", "2.webp", "3.png", "4.png"]
    assert before.items() <= after.items()


@pytest.mark.parametrize("name", ["3.txt", "3.json", "3/"])
def test_a_file_that_is_no_image_does_not_count_as_smoothed(cartoons, tmp_path, name):
    folder = tmp_path / "data/smooth"
    folder.mkdir()
    (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("notes")
    assert smooth_folder(cartoons)[1:] == (5, 0, {})
    assert (folder / "3.png").is_file()


def test_unreadable_cartoons_are_named_and_the_others_smoothed(cartoons, tmp_path):
    whole = (cartoons / "0.png").read_bytes()
    (cartoons / "1.png").write_bytes(whole[: len(whole) // 2])
    (cartoons / "junk.jpg").write_bytes(b"no image")
    (cartoons / "empty.webp").write_bytes(b"")
    (cartoons / "folder.png").mkdir()
    for name in ("gone", "gone_since"):
        (cartoons / f"{name}.png").symlink_to(tmp_path / "nowhere.png")
    save(tmp_path / "data/smooth/gone_since.png", draw_cartoon(9, 32))
    done = smooth_folder(cartoons)
    assert " ".join(p.name for p in done.failed) == "1.png empty.webp folder.png gone.png gone_since.png junk.jpg"
    assert all(reason and "\n" not in reason for reason in done.failed.values())
    assert (done.made, done.existing) == (4, 0)
    assert names(done.folder) == ["0.png", "2.png", "3.png", "4.png", "gone_since.png"]


def test_two_cartoons_of_one_stem_are_refused(cartoons):
    save(cartoons / "2.jpg", draw_cartoon(2, 32))
    with pytest.raises(InputError, match=r"2\.jpg and 2\.png differ in their extensions only"):
        smooth_folder(cartoons)
    assert names(cartoons.parent) == ["cartoons"]


@pytest.mark.parametrize("output", ["cartoons", "cartoons/smooth", "cartoons/a/b", "link", "link/x", "x/../cartoons/y"])
@pytest.mark.parametrize("given", ["cartoons", "link"])
def test_an_output_inside_the_folder_of_cartoons_is_refused(cartoons, given, output):
    root, before = cartoons.parent, state(cartoons)
    (root / "link").symlink_to(cartoons)
    with pytest.raises(InputError, match="--output"):
        smooth_folder(root / given, root / output)
    assert state(cartoons) == before and names(root) == ["cartoons", "link"]


@pytest.mark.parametrize("output", ["cartoons-smooth", "cartoons2/deep/er", "."])
def test_other_output_folders_are_made_and_the_cartoons_are_unchanged(cartoons, output):
    before = state(cartoons)
    assert smooth_folder(cartoons, cartoons.parent / output).made == 5
    assert is_smoothed(cartoons.parent / output / "4.png", cartoons / "4.png")
    assert state(cartoons) == before


def test_odd_names_and_links_are_smoothed(tmp_path):
    folder = tmp_path / "a b/ca\u0301rtoons 漫画"
    stems = [
        "a b", "\u00e9", "e\u0301", "😀", "写真 1", "תמונה", "صورة", "x.tar", "-o", "%d'\";", "line\nbreak",
        os.fsdecode(b"\xff"), "x" * 251,
    ]  # fmt: skip
    for i, stem in enumerate(stems):
        save(folder / f"{stem}.png", draw_cartoon(i, 16))
    save(folder / "UPPER.JPG", draw_cartoon(20, 16))
    (folder / "link.png").symlink_to(folder / "UPPER.JPG")
    (folder / ".hidden.png").write_bytes(b"no image")
    done = smooth_folder(folder)
    assert done == (tmp_path / "a b/smooth", len(stems) + 2, 0, {})
    assert names(done.folder) == sorted(f"{stem}.png" for stem in [*stems, "UPPER", "link"])
    cartoons = image_files(folder)
    assert all(
        is_smoothed(smoothed, cartoon) for cartoon, smoothed in zip(cartoons, paired_files(cartoons, done.folder))
    )


@pytest.mark.parametrize("output", ["file", "file/below", "0.png/is/a/file"])
def test_an_output_that_cannot_be_written_ends_the_run(cartoons, output):
    (cartoons.parent / "file").write_text("in the way")
    save(cartoons.parent / "0.png", draw_cartoon(0, 8))
    with pytest.raises(OutputError, match=f"{cartoons.parent}/.*(a file is there|cannot be written)"):
        smooth_folder(cartoons, cartoons.parent / output, jobs=2)
    assert (cartoons.parent / "file").read_text() == "in the way"


def test_the_number_of_threads_makes_no_difference(cartoons, tmp_path):
    for jobs in (1, 4):
        smooth_folder(cartoons, tmp_path / str(jobs), jobs)
    assert all((tmp_path / "1" / n).read_bytes() == (tmp_path / "4" / n).read_bytes() for n in names(cartoons))
    assert names(tmp_path / "1") == names(tmp_path / "4") == names(cartoons)


def test_a_killed_run_is_resumed_and_leaves_no_incomplete_file(tmp_path):
    count, folder = 250, tmp_path / "smooth"
    source = save(tmp_path / "0.png", draw_cartoon(0, 128))
    write_png(tmp_path / "wanted.png", smooth_edges(draw_cartoon(0, 128)))
    (tmp_path / "cartoons").mkdir()
    for i in range(count):
        os.link(source, tmp_path / "cartoons" / f"{i}.png")
    process = subprocess.Popen([*COMMAND, str(tmp_path / "cartoons")], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: folder.is_dir() and len(names(folder)) > 5, process)
    time.sleep(random.uniform(0, 0.05))
    process.kill()
    process.communicate()
    done = len(image_files(folder))
    assert process.returncode == -signal.SIGKILL and done < count
    assert smooth_folder(tmp_path / "cartoons")[1:] == (count - done, done, {})
    assert [file.name for file in image_files(folder)] == names(tmp_path / "cartoons")
    assert {file.read_bytes() for file in image_files(folder)} == {(tmp_path / "wanted.png").read_bytes()}


def test_ten_thousand_small_cartoons_take_seconds():
    memory = Path("/dev/shm")  # where disks do not count
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        source, cartoons = save(Path(folder) / "0.png", draw_cartoon(0, 8)), Path(folder) / "cartoons"
        cartoons.mkdir()
        for i in range(10_000):
            (cartoons / f"{i}.png").symlink_to(source)
        start = time.perf_counter()
        assert smooth_folder(cartoons).made == 10_000
        middle = time.perf_counter()
        assert smooth_folder(cartoons).existing == 10_000
        assert middle - start < 20 and time.perf_counter() - middle < 4
