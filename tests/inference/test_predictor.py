"""CartoonPredictor: inputs, outputs and limits."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import ppcartoon
from ppcartoon import InputError
from ppcartoon.inference import predictor as module
from ppcartoon.utils import machine
from tests.helpers.samples import photo


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (5, 7), (1, 200), (16, 16), (33, 62)])
def test_a_cartoon_has_the_size_of_its_image(predictor, size):
    cartoon = predictor(photo(*size))
    assert cartoon.shape == (*size, 3) and cartoon.dtype == np.uint8


def test_paths_arrays_and_pil_images_give_the_same_cartoon(predictor, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(photo(24, 36)).save(path)
    wanted = predictor(photo(24, 36))
    assert wanted.std() > 5
    for source in (path, str(path), Image.fromarray(photo(24, 36))):
        assert (predictor(source) == wanted).all()


def test_a_list_gives_a_list_in_order_for_any_batch_size(tiny_file, predictor):
    photos = [photo(24, 36, 1), photo(16, 16, 2), photo(24, 36, 3), photo(23, 35, 4), photo(24, 36, 5)]
    wanted = [predictor(p) for p in photos]
    for got in (predictor(photos), ppcartoon.CartoonPredictor(weights_file=tiny_file, batch_size=2)(photos)):
        assert isinstance(got, list) and len(got) == 5
        for a, b in zip(got, wanted):
            np.testing.assert_allclose(a, b, atol=1)
    assert predictor([]) == []


def test_a_predictor_may_be_called_from_several_threads(predictor):
    photos = [photo(20 + 4 * i, 40, i) for i in range(8)]
    wanted = [predictor(p) for p in photos]
    with ThreadPoolExecutor(4) as pool:
        for got, want in zip(pool.map(predictor, photos * 4), wanted * 4):
            assert (got == want).all()


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((4, 4, 3), np.float32), r"RGB uint8 array \[H, W, 3\] is expected, got float32 \[4, 4, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 \[4, 4, 4\]"),
        (np.zeros((4, 4), np.uint8), r"got uint8 \[4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"got uint8 \[0, 4, 3\]"),
        (3, "got int"),
        ("nowhere.png", r"nowhere\.png: cannot be read \(No such file"),
    ],
)
def test_invalid_images_are_refused(predictor, image, message):
    with pytest.raises(InputError, match=message):
        predictor(image)


def test_an_image_that_needs_too_much_memory_is_refused_before_it_runs(tiny_file, monkeypatch):
    whole = ppcartoon.CartoonPredictor(weights_file=tiny_file, tile=0)
    monkeypatch.setattr(whole.engine, "bytes_per_pixel", 1e12)
    with pytest.raises(InputError, match=r"100x200 needs more than the .* GB of memory here: use --tile auto"):
        whole(photo(200, 100))
    tiles = ppcartoon.CartoonPredictor(weights_file=tiny_file, tile=100)
    monkeypatch.setattr(tiles.engine, "bytes_per_pixel", 1e12)
    with pytest.raises(InputError, match=r"tile 100: needs more than the .* GB of memory here: use --tile auto"):
        tiles(photo(200, 100))


class LittleMemory:
    """An engine that fails on images whose longer side is above a limit."""

    def __init__(self, engine, limit):
        self.engine, self.limit = engine, limit

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def __call__(self, image):
        if max(image.shape[2:]) > self.limit:
            raise RuntimeError("bad allocation")
        return self.engine(image)

    def with_fixed_stats(self, stats):
        return LittleMemory(self.engine.with_fixed_stats(stats), self.limit)


def test_tiles_become_smaller_before_a_photo_is_refused(tiny_file):
    image = photo(300, 400)
    expected = ppcartoon.CartoonPredictor(weights_file=tiny_file, working_size=0, tile=100)(image)
    predictor = ppcartoon.CartoonPredictor(weights_file=tiny_file, working_size=0)
    assert not predictor.tile_size(300, 400)
    engine = predictor.engine
    predictor.engine = LittleMemory(engine, 200)
    assert (predictor(image) == expected).all()
    predictor.engine = LittleMemory(engine, 100)
    with pytest.raises(InputError, match="RuntimeError: bad allocation; if memory is short"):
        predictor(image)


def test_auto_tiles_are_smaller_where_a_container_has_less_memory(monkeypatch):
    predictor, tiles = ppcartoon.CartoonPredictor(working_size=0), []
    for limit in (64 << 30, 1 << 27, 1 << 26, 1 << 25):
        monkeypatch.setattr(machine, "memory", lambda limit=limit: limit)
        tiles.append(predictor.tile_size(1000, 1000))
    assert tiles[0] == 0 and tiles[1] > tiles[2] >= tiles[3] == 64


@pytest.mark.parametrize(
    "tile, sizes",
    [
        ("auto", {(500, 500): 0, (632, 632): 0, (633, 633): 544, (1, 500_000): 544}),
        (0, {(500, 500): 0, (2000, 2000): 0}),
        (130, {(128, 128): 0, (100, 131): 128, (2000, 2000): 128}),
    ],
)
def test_tile_sizes_by_image_size(tiny_file, monkeypatch, tile, sizes):
    predictor = ppcartoon.CartoonPredictor(weights_file=tiny_file, tile=tile, working_size=0)
    monkeypatch.setattr(predictor, "_pixels", lambda memory=module.MEMORY: 400_000 * memory / module.MEMORY)
    assert {size: predictor.tile_size(*size) for size in sizes} == sizes


def test_a_small_tile_is_refused(tiny_file):
    with pytest.raises(InputError, match="tile 60: too small, use at least 64 pixels, auto, or 0 for none"):
        ppcartoon.CartoonPredictor(weights_file=tiny_file, tile=60)


def test_the_shipped_style_makes_a_cartoon():
    """Correlated with the photo, yet changed, and with less noise than the photo."""
    from skimage import data

    cat = data.chelsea()[:256, :256]
    cartoon = ppcartoon.CartoonPredictor("peppercarrot")(cat)
    gray, gray_cartoon = cat.mean(2), cartoon.mean(2)
    assert np.corrcoef(gray.ravel(), gray_cartoon.ravel())[0, 1] > 0.8
    assert np.abs(gray - gray_cartoon).mean() > 5

    def noise(a):
        return np.median(np.abs(a[1:-1, 1:-1] - (a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]) / 4))

    assert noise(gray_cartoon) < noise(gray)
