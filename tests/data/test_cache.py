"""Images of users' folders, and the cache of decoded images."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppcartoon.data.datasets import UnpairedCartoonDataset
from ppcartoon.data.edge_smoothing import smooth_edges
from ppcartoon.data.samples import draw_cartoon, draw_photo
from ppcartoon.errors import InputError, OutputError
from tests.helpers.folders import coded, drawn, pixels, save


@pytest.fixture
def root(tmp_path):
    return drawn(tmp_path / "data", photos=4, cartoons=3)


def dataset(root, **options):
    options = {
        "photos": "photos",
        "cartoons": "cartoons",
        "size": 32,
        "cache_dir": str(root.parent / "cache"),
        **options,
    }
    return UnpairedCartoonDataset(str(root), **options)


def refusal(root, kind=InputError, **options):
    with pytest.raises(kind) as caught:
        dataset(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files(folder):
    """Path, inode and modification time of all files in a folder."""
    return {(str(p), p.stat().st_ino, p.stat().st_mtime_ns) for p in Path(folder).rglob("*") if p.is_file()}


def test_images_are_decoded_once_and_their_folders_are_unchanged(root):
    before = files(root)
    first = dataset(root)
    made = files(root.parent / "cache")
    assert len(made) == 3  # photos, cartoons, smoothed cartoons
    second = dataset(root)
    assert files(root.parent / "cache") == made
    assert files(root) == before
    assert all((first[i, i][k] == second[i, i][k]).all() for i in range(4) for k in ("photo", "cartoon", "smooth"))
    assert all((pixels(first[i]["photo"]) == draw_photo(i, 32)).all() for i in range(4))


@pytest.mark.parametrize("change", ["content", "name", "size"])
def test_a_changed_folder_is_decoded_again(root, change):
    Image.fromarray(draw_photo(2, 32)).save(root / "photos/2.png", "BMP")  # whose size does not depend on the content
    dataset(root)
    made = files(root.parent / "cache")
    if change == "content":
        Image.fromarray(draw_photo(99, 32)).save(root / "photos/2.png", "BMP")
    elif change == "name":
        (root / "photos/2.png").rename(root / "photos/5.png")
    data = dataset(root, load_size=36 if change == "size" else None)
    wanted = {"content": draw_photo(99, 32), "name": draw_photo(3, 32)}
    if change == "size":
        assert data.photos.shapes.tolist() == [[36, 36]] * 4
    else:
        assert (pixels(data[2]["photo"]) == wanted[change]).all()
    assert len(files(root.parent / "cache") - made) == (3 if change == "size" else 1)


@pytest.mark.parametrize("size", [0, 10, 3000])
def test_a_damaged_cache_is_made_again(root, size):
    wanted = dataset(root)[0]["photo"]
    for file in (root.parent / "cache").iterdir():
        os.truncate(file, size)
    assert (dataset(root)[0]["photo"] == wanted).all()


def test_temporary_files_of_killed_processes_are_removed_from_the_cache_after_a_day(root):
    cache = root.parent / "cache"
    cache.mkdir()
    for name, age in (("old", 2 * 86400), ("new", 60)):
        (cache / f".{name}.stack").write_bytes(b"half")
        os.utime(cache / f".{name}.stack", times=(time.time() - age,) * 2)
    dataset(root)
    assert sorted(p.name for p in cache.glob(".*")) == [".new.stack"]


def test_without_a_cache_dir_the_user_s_cache_is_used(root, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: root.parent / "home")
    dataset(root, cache_dir=None)
    assert len(files(root.parent / "home/.cache/ppcartoon/stacks")) == 3


@pytest.mark.parametrize("key", ["photos", "cartoons"])
def test_a_missing_folder_is_named_with_its_key_and_its_siblings(root, key):
    message = refusal(root, **{key: "foto"})
    assert message.startswith(f"dataset.train.{key}: {root / 'foto'}: no such folder; beside it are cartoons, photos")
    assert "dataset.train.dataroot" in message
    assert f"nor {root / 'nowhere'}" in refusal(root, **{key: "nowhere/photos"})


def test_a_folder_without_images_is_refused(root):
    (root / "empty").mkdir()
    (root / "empty" / "notes.txt").write_text("none")
    (root / "empty" / ".hidden.png").write_text("none")
    assert refusal(root, photos="empty").startswith(f"dataset.train.photos: {root / 'empty'}: no image in it")


def test_images_that_cannot_be_read_are_counted_and_the_first_named(root):
    (root / "photos" / "0.png").write_bytes(b"no image")
    (root / "photos" / "1.png").write_bytes((root / "photos" / "2.png").read_bytes()[:300])
    for name in ("4.jpg", "5.webp"):
        (root / "photos" / name).write_bytes(b"")
    (root / "photos" / "6.png").mkdir()
    message = refusal(root)
    assert message.startswith("dataset.train.photos: 5 of 7 images cannot be used: ")
    assert all(f"{name}: " in message for name in ("0.png", "1.png", "4.jpg")) and "5.webp" not in message
    assert "and 2 more" in message
    assert not files(root.parent / "cache")


def test_a_dangling_link_is_refused_though_the_other_files_are_cached(root):
    dataset(root)
    (root / "photos" / "9.png").symlink_to(root / "gone.png")
    assert "1 of 5 images cannot be used: " in refusal(root)


@pytest.mark.parametrize("height, width", [(20, 32), (100, 64), (33, 47), (300, 10), (1, 1), (256, 255), (32, 32)])
def test_photos_of_any_shape_get_the_right_size(root, height, width):
    save(root / "photos" / "0.png", coded(0, height, width))
    data = dataset(root, random_crop=True)
    assert min(data.photos.shapes[0]) == 32
    ratio = max(height, width) / min(height, width)
    assert max(data.photos.shapes[0]) == round(32 * ratio)
    assert all(value.shape == (3, 32, 32) for value in data[0].values())


def test_odd_names_upper_case_extensions_and_links_are_found(root):
    names = ["a photo.PNG", "写真 1.JPG", "ünï.jpeg", "%d'\";.png", "x.tar.png"]
    shutil.rmtree(root / "photos")
    for i, name in enumerate(names):
        save(root / "photos" / name, draw_photo(i, 32))
    (root / "photos" / "link.png").symlink_to(root / "cartoons" / "0.png")
    (root / "linked").symlink_to(root / "photos")
    data = dataset(root, photos="linked")
    assert [file.name for file in data.photos.files] == sorted([*names, "link.png"])
    assert (data.photos[data.photos.files.index(root / "linked" / "link.png")] == draw_cartoon(0, 32)).all()


def test_gray_and_16_bit_and_transparent_photos_are_read(root):
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))
    Image.fromarray(ramp).save(root / "photos" / "0.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(root / "photos" / "1.png")
    Image.fromarray(np.dstack([ramp] * 3 + [np.full_like(ramp, 255)])).save(root / "photos" / "2.png")
    Image.fromarray(ramp).convert("P").save(root / "photos" / "3.png")
    data = dataset(root)
    assert all((pixels(data[i]["photo"]) == ramp[..., None]).all() for i in range(4))


def test_paired_files_are_matched_by_name_whatever_their_extension(root):
    for i in range(3):
        save(root / "soft" / f"{i}.bmp", np.full((32, 32, 3), 10 + i, np.uint8))
    save(root / "soft" / "00.png", np.zeros((32, 32, 3), np.uint8))  # without a cartoon
    data = dataset(root, smooth="soft")
    assert len(files(root.parent / "cache")) == 3
    for i in range(6):
        item = {name: pixels(value) for name, value in data[i, 0].items()}
        (number,) = (n for n in range(3) if (item["cartoon"] == draw_cartoon(n, 32)).all())
        assert (item["smooth"] == 10 + number).all()


def test_missing_paired_files_are_named(root):
    save(root / "soft" / "0.png", draw_cartoon(0, 32))
    message = refusal(root, smooth="soft")
    assert f"dataset.train.smooth: {root / 'soft'} lacks 2 of 3 cartoons, 1.png first" in message
    assert "smooth: null" in message


def test_paired_files_of_another_shape_are_named(root):
    for i in range(3):
        save(root / "soft" / f"{i}.png", smooth_edges(draw_cartoon(i, 40))[: 30 if i == 1 else 40])
    assert f"dataset.train.smooth: {root / 'soft' / '1.png'} has another shape than" in refusal(root, smooth="soft")


@pytest.mark.parametrize("cache", ["file", "file/below"])
def test_a_cache_that_cannot_be_written_is_one_line(root, cache):
    (root.parent / "file").write_text("in the way")
    message = refusal(root, OutputError, cache_dir=str(root.parent / cache))
    assert message.startswith("dataset.train.photos: ") and "dataset.train.cache_dir" in message
    assert str(root.parent / cache) in message
