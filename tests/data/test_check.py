"""The check of training data: it fails where training does; statistics; test photos among the training photos."""

import os
import shutil
import time
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from skimage import data

from ppcartoon.data import check
from ppcartoon.data.datasets import EpochSampler, UnpairedCartoonDataset
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.errors import InputError
from tests.helpers.folders import drawn, save

LAYOUTS = {
    "custom": {key: key for key in ("photos", "cartoons", "smooth")},
    "AnimeGAN": {"photos": "train_photo", "cartoons": "Any/style", "smooth": "Any/smooth"},
}


class Folders(namedtuple("Folders", "photos cartoons smooth root")):
    """Four photos and three cartoons in one of the layouts, to be damaged."""

    @classmethod
    def drawn(cls, root, layout):
        folders = cls(*(root / name for name in LAYOUTS[layout].values()), root)
        source = drawn(root.parent / "drawn", 4, 3)
        for key in ("photos", "cartoons"):
            shutil.copytree(source / key, getattr(folders, key))
        return folders

    def add_paired(self, ending=".png", scale=1):
        """Writes a paired file for each cartoon; returns their folder."""
        for file in sorted(self.cartoons.iterdir()):
            image = Image.open(file)
            save(self.smooth / f"{file.stem}{ending}", np.asarray(image.resize([scale * n for n in image.size])))
        return self.smooth

    def add_pair(self, cartoon, paired):
        """Adds a cartoon and its paired file with the given heights and widths."""
        self.add_paired()
        for folder, size in ((self.cartoons, cartoon), (self.smooth, paired)):
            save(folder / "pair.png", np.zeros((*size, 3), np.uint8))


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def junk(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def wide(path):
    save(path, np.zeros((32, 40, 3), np.uint8))


FINE = {
    "unchanged": lambda d: None,
    "smoothed files": lambda d: d.add_paired(),
    "paired files of another format and size": lambda d: d.add_paired(ending=".bmp", scale=2),
    "nearly the same shape": lambda d: d.add_pair((100, 101), (50, 50)),
    "rounded to the same shape": lambda d: d.add_pair((33, 47), (66, 94)),
    "smaller than load_size": lambda d: d.add_pair((3, 5), (6, 10)),
    "upper-case endings": lambda d: [p.rename(p.with_suffix(".PNG")) for f in d[:2] for p in f.iterdir()],
    "stray text": lambda d: [junk(f / "notes.txt") for f in (d.photos, d.cartoons, d.add_paired())],
    "hidden files": lambda d: [junk(f / ".0.png") for f in (d.photos, d.cartoons, d.add_paired())],
    "folders within": lambda d: [junk(f / "below/0.png") for f in (d.photos, d.cartoons, d.add_paired())],
    "a paired file without a cartoon": lambda d: junk(d.add_paired() / "nobody.png"),
    "a file named smooth": lambda d: junk(d.smooth),
    "linked folders": lambda d: [f.rename(f"{f}_") and f.symlink_to(f"{f}_") for f in (d.photos, d.cartoons)],
    "two photos of one stem": lambda d: save(d.photos / "0.jpg", draw_photo(9, 32)),
    "two cartoons of one stem, not paired": lambda d: save(d.cartoons / "0.jpg", draw_cartoon(9, 32)),
    "tiny and long photos": lambda d: [save(d.photos / f"{n}x1.png", np.zeros((n, 1, 3), np.uint8)) for n in (1, 300)],
    "16 bits": lambda d: Image.fromarray(np.full((32, 32), 40000, np.uint16)).save(d.photos / "deep.png"),
    "test photo unreadable": lambda d: (save(d.root / "test/0.png", draw_photo(9, 32)), junk(d.root / "test/1.png")),
}  # fmt: skip
BROKEN = {
    "no photos": lambda d: shutil.rmtree(d.photos),
    "photos empty": lambda d: empty(d.photos),
    "photos are hidden": lambda d: [p.rename(p.with_name(f".{p.name}")) for p in d.photos.iterdir()],
    "photos are a file": lambda d: (shutil.rmtree(d.photos), junk(d.photos)),
    "photos lead nowhere": lambda d: (shutil.rmtree(d.photos), d.photos.symlink_to(d.root / "nowhere")),
    "no cartoons": lambda d: shutil.rmtree(d.cartoons),
    "unreadable photo": lambda d: junk(d.photos / "junk.jpg"),
    "cut photo": lambda d: cut(d.photos / "0.png"),
    "empty photo": lambda d: (d.photos / "9.webp").write_bytes(b""),
    "float photo": lambda d: Image.fromarray(np.full((32, 32), 300, np.float32)).save(d.photos / "0.tiff"),
    "folder named as a photo": lambda d: (d.photos / "folder.png").mkdir(),
    "photo that links to nothing": lambda d: (d.photos / "gone.png").symlink_to(d.root / "gone.png"),
    "photo that links to itself": lambda d: (d.photos / "loop.png").symlink_to(d.photos / "loop.png"),
    "fewer photos than a batch": lambda d: (d.photos / "0.png").unlink(),
    "unreadable cartoon": lambda d: junk(d.cartoons / "junk.jpg"),
    "cut cartoon": lambda d: cut(d.cartoons / "0.png"),
    "cartoon that links to nothing": lambda d: (d.cartoons / "gone.png").symlink_to(d.root / "gone.png"),
    "unreadable paired file": lambda d: junk(d.add_paired() / "0.png"),
    "cut paired file": lambda d: cut(d.add_paired() / "0.png"),
    "missing paired file": lambda d: (d.add_paired() / "0.png").unlink(),
    "smooth empty": lambda d: empty(d.add_paired()),
    "paired file of another shape": lambda d: wide(d.add_paired() / "0.png"),
    "paired file with one more row": lambda d: d.add_pair((33, 47), (66, 93)),
    "two cartoons of one stem": lambda d: (d.add_paired(), save(d.cartoons / "0.jpg", draw_cartoon(9, 32))),
    "two paired files of one stem": lambda d: save(d.add_paired() / "0.jpg", draw_cartoon(9, 32)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", [*FINE, *BROKEN])
def test_check_fails_where_training_does(tmp_path, case, layout):
    folders = Folders.drawn(tmp_path / "data", layout)
    {**FINE, **BROKEN}[case](folders)
    options, error = {**LAYOUTS[layout], "size": 32, "cache_dir": str(tmp_path / "cache")}, None
    try:
        EpochSampler(len(UnpairedCartoonDataset(str(folders.root), **options)), 4, 1)
    except InputError as caught:
        error = str(caught)
    try:
        found = check.layout(folders.root)
        failures = check.check(found, load_size=32, batch_size=4).failures
    except InputError as caught:
        failures = [str(caught)]
    assert all("\n" not in failure for failure in failures)
    assert (bool(failures), error is not None) == (case in BROKEN,) * 2, (failures, error)


def flat(path, height, width, *color):
    save(path, np.full((height, width, 3), color, np.uint8))


def test_the_table_shows_counts_sizes_and_colors(tmp_path):
    for i in range(3):
        flat(tmp_path / f"photos/{i}.png", 8, 12, 10, 20, 30)
    flat(tmp_path / "photos/3.png", 6, 6, 50, 61, 70)
    for i in range(5):
        flat(tmp_path / f"cartoons/{i}.png", 4 + i // 2, 9, 100, 100, 100)
    flat(tmp_path / "cartoons/5.png", 30, 40, 100, 100, 100)
    for name in ("6.png", "7.jpg"):
        junk(tmp_path / "cartoons" / name)
    flat(tmp_path / "test/HR_photo/0.bmp", 5, 7, 0, 255, 128)
    junk(tmp_path / "test/HR_photo/1.png")
    found = check.check(check.layout(tmp_path), jobs=2)
    photos, test, cartoons = (tmp_path / name for name in ("photos", "test/HR_photo", "cartoons"))
    assert check.table(found)[2:-1] == [
        f"| {photos} | 4 | 0 | 8x12 (3), 6x6 (1) | 20, 30, 40 |",
        f"| {test} | 1 | 1 | 5x7 | 0, 255, 128 |",
        f"| {cartoons} | 6 | 2 | 4x9 (2), 5x9 (2), 6x9 (1) and 1 other sizes | 100, 100, 100 |",
    ]
    assert found.stats[cartoons].brightness.nonzero()[0].tolist() == [100]
    assert found.stats[cartoons].brightness.sum() == 9 * (4 + 4 + 5 + 5 + 6) + 1200
    assert sorted(path.name for path in found.stats[cartoons].unreadable) == ["6.png", "7.jpg"]
    assert found.warnings == [f"{test / '1.png'}: not an image that can be read here"]  # training does not read it
    assert found.stats[photos].means.tolist() == [[10, 20, 30]] * 3 + [[50, 61, 70]]


@pytest.fixture(scope="module")
def photos():
    return {name: getattr(data, name)()[::2, ::2] for name in ("astronaut", "chelsea", "coffee", "rocket")}


def test_test_photos_are_found_among_the_training_photos(photos, tmp_path):
    drawn(tmp_path, 5, 1)
    for name, photo in photos.items():
        image, brighter = Image.fromarray(photo), np.uint8(np.minimum(photo + 8.0, 255))
        save(tmp_path / "photos" / f"{name}.png", photo)
        for kind in ("same", "compressed", "small", "square", "brighter"):
            (tmp_path / "test" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / "test/same" / f"{name}.png").write_bytes((tmp_path / f"photos/{name}.png").read_bytes())
        image.save(tmp_path / f"test/compressed/{name}.jpg", quality=20)
        image.resize((image.width // 3, image.height // 3)).save(tmp_path / f"test/small/{name}.png")
        image.resize((256, 256)).save(tmp_path / f"test/square/{name}.png")
        Image.fromarray(brighter).save(tmp_path / f"test/brighter/{name}.png")
    found = check.check(check.layout(tmp_path), load_size=32)
    wanted = {(f"{n}.png", kind, n) for n in photos for kind in ("same", "compressed", "small", "square", "brighter")}
    pairs = [
        tuple(map(Path, warning.split(", a test photo")[0].split(": shows the same as "))) for warning in found.warnings
    ]
    assert {(photo.name, test.parent.name, test.stem) for photo, test in pairs} == wanted
    assert len(pairs) == 20 and not found.failures


def test_different_photos_are_no_duplicates(photos, tmp_path):
    drawn(tmp_path, 200, 1, size=48)
    for i in range(50):
        save(tmp_path / f"test/{i}.png", draw_photo(1000 + i, 48))
    for name, photo in photos.items():
        height, width = np.array(photo.shape[:2]) // 2
        save(tmp_path / f"photos/{name}.png", photo)
        for i, (top, left) in enumerate(((0, 0), (0, width), (height, 0), (height, width))):
            save(tmp_path / f"test_crops/{name}{i}.png", photo[top : top + height, left : left + width])
        save(tmp_path / f"test_crops/{name}_mirrored.png", photo[:, ::-1])
    flat(tmp_path / "photos/plain.png", 64, 64, 90, 90, 90)
    flat(tmp_path / "test_crops/plain.png", 64, 64, 120, 120, 120)
    found = check.check(check.layout(tmp_path), jobs=2)
    assert found.warnings == [] and len(found.stats) == 4


def test_test_folders_are_found_by_their_names(tmp_path):
    for name in ("test", "test/a", "test/label_map", "test_photo", "tests/HR", "testing/x/deep", "contest", "my_test"):
        flat(tmp_path / name / "0.png", 8, 8, 1, 2, 3)
    junk(tmp_path / "test.png")
    junk(tmp_path / "test/empty/notes.txt")
    assert check.test_folders(tmp_path) == [tmp_path / n for n in ("test", "test/a", "test_photo", "tests/HR")]


def test_many_test_photos_are_listed_fast(tmp_path):
    flat(tmp_path / "0.png", 8, 8, 1, 2, 3)
    (tmp_path / "test").mkdir()
    for i in range(1000):
        os.link(tmp_path / "0.png", tmp_path / "test" / f"{i}.png")
    start = time.perf_counter()
    assert check.test_folders(tmp_path) == [tmp_path / "test"]
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    "folders",
    [("photos", "cartoons", "smooth"), ("train_photo", "test/HR_photo", "test/test_photo", "A/style", "A/smooth")],
)
def test_the_histogram_shows_each_folder_in_its_own_color(tmp_path, folders):
    for i, name in enumerate(folders):
        save(tmp_path / name / "0.png", draw_photo(i, 32))
    found = check.check(check.layout(tmp_path))
    assert list(found.stats) == [tmp_path / name for name in folders]
    check.histogram(found, tmp_path / "below/check.png")
    picture = np.asarray(Image.open(tmp_path / "below/check.png"), int)
    rows = []
    for i in range(len(folders)):
        drawn = np.abs(picture - 255 * np.array(to_rgb(f"C{i}"))).max(2) < 4
        rows.append(np.flatnonzero(drawn.sum(1) > 12))
    assert all(len(row) > 20 for row in rows)
    assert all(above.max() + 20 < below.min() for above, below in pairwise(rows))
