"""Black bars, useless frames and near-duplicates, tested on many drawn cartoons."""

import io

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from ppcartoon.data.frame_quality import HASH, MARGIN, crop_black_bars, find_defect, perceptual_hash
from ppcartoon.data.samples import draw_cartoon
from tests.helpers import videos

SEEDS = range(30)
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")


def rng():
    return np.random.default_rng(0)


def barred(image, top=0, bottom=0, left=0, right=0, level=0, grain=0.0):
    """Bars around an image, black or nearly so."""
    shape = image.shape[0] + top + bottom, image.shape[1] + left + right, 3
    result = np.uint8(np.clip(level + grain * rng().standard_normal(shape), 0, 255))
    result[top : top + image.shape[0], left : left + image.shape[1]] = image
    return result


def defect(image, size=256):
    return find_defect(image, crop_black_bars(image), size)


def photo(name):
    found = getattr(skimage.data, name)()
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("bar", [4, 20, 90])
@pytest.mark.parametrize("level, grain", [(0, 0), (16, 0), (10, 4)], ids=["black", "nearly black", "grainy"])
def test_black_bars_are_cropped_and_little_of_the_picture(bar, level, grain):
    for seed in SEEDS[:10]:
        image = videos.scene(seed)
        above = crop_black_bars(barred(image, bar, bar, level=level, grain=grain))
        assert (above == image[MARGIN:-MARGIN]).all()
        around = crop_black_bars(barred(image, bar, bar, bar + 2, bar + 2, level, grain))
        assert (around == image[MARGIN:-MARGIN, MARGIN:-MARGIN]).all()
        aside = crop_black_bars(barred(image, 0, 0, bar + 2, bar + 2, level, grain))
        assert (aside == image[:, MARGIN:-MARGIN]).all()


def test_bars_that_differ_by_a_line_are_cropped():
    image = crop_black_bars(barred(videos.scene(0), 20, 21))
    assert 172 <= len(image) <= 177 and image.max(2).mean(1).min() > 50


@pytest.mark.parametrize("side", [{"top": 60}, {"bottom": 60}, {"left": 60}, {"right": 60}], ids=str)
def test_darkness_at_one_side_is_no_bar(side):
    for seed in SEEDS:
        image = barred(videos.scene(seed), **side)
        assert crop_black_bars(image) is image


def test_pictures_without_bars_are_unchanged():
    for image in (*map(videos.scene, SEEDS), *map(photo, PHOTOS), videos.BLACK, videos.BLACK + 255):
        assert crop_black_bars(image) is image


def test_a_small_object_between_wide_black_sides_is_kept():
    image = videos.BLACK.copy()
    image[80:100, 150:170] = 200
    assert (crop_black_bars(image) == 200).any()


@pytest.mark.parametrize("size", [3, 12])
def test_tiny_pictures_are_not_cropped_to_nothing(size):
    for dark in range(size):
        image = np.full((size, size, 3), 200, np.uint8)
        image[:dark] = image[size - dark :] = 0
        assert crop_black_bars(image).size


def grain(level, deviation):
    return np.uint8(np.clip(level + deviation * rng().standard_normal(videos.BLACK.shape), 0, 255))


PLAIN = {
    "black": (videos.BLACK, "black"),
    "nearly black": (videos.BLACK + 20, "black"),
    "grainy black": (grain(10, 3), "black"),
    "white": (videos.BLACK + 255, "blank"),
    "red": (videos.BLACK + np.uint8([200, 30, 40]), "blank"),
    "grainy white": (grain(235, 5), "blank"),
    "grainy gray": (grain(120, 5), "blank"),
    "white between bars": (barred(videos.BLACK + 255, 30, 30), "blank"),
}


@pytest.mark.parametrize("image, wanted", PLAIN.values(), ids=PLAIN)
def test_pictures_of_one_color_are_black_or_blank(image, wanted):
    assert defect(image) == wanted


COLORS = "white/black", "black/white", "yellow/darkgreen", "white/darkred", "black/lightblue", "red/black"


@pytest.mark.parametrize("colors", COLORS)
def test_text_on_one_color_is_credits(colors):
    color, background = colors.split("/")
    for lines in (["Directed by", "Somebody Important", "Music", "Another Name"], ["A Film by Nobody"] * 2):
        image = videos.credits(*lines, color=color, background=background)
        for shown in (image, barred(image, 30, 30), barred(image, 0, 0, 60, 60), cv2.resize(image, (1280, 720))):
            assert defect(shown) == "credits"
    for line in ("THE END", "Hi"):
        assert defect(videos.credits(line, color=color, background=background))


@pytest.mark.parametrize("size", [20, 24, 28])
@pytest.mark.parametrize("title", ["The Red Balloon", "CHAPTER TWO"])
def test_titles_are_credits(title, size):
    assert defect(videos.credits("", "", title, size=size)) == "credits"


def test_text_over_a_scene_is_no_defect():
    for seed in SEEDS:
        image = Image.fromarray(videos.scene(seed))
        ImageDraw.Draw(image).text((160, 160), "I never said so!", "white", ImageFont.load_default(16), "mm")
        assert defect(np.asarray(image)) is None


def starry(seed):
    """A sky at night, every other one with a moon."""
    image = Image.new("RGB", (320, 180), (28, 38, 92))
    for x, y, size, light in (
        np.random.default_rng(seed).integers((0, 0, 0, 120), (320, 180, 4, 256), (400, 4)).tolist()
    ):
        ImageDraw.Draw(image).ellipse((x, y, x + size, y + size), (light,) * 3)
    if seed % 2:
        ImageDraw.Draw(image).ellipse((220, 20, 260, 60), (250, 245, 210))
    return np.asarray(image)


@pytest.mark.parametrize(
    "draw", [videos.scene, starry, lambda seed: draw_cartoon(seed, 256)], ids=["16:9", "sky", "1:1"]
)
def test_drawn_cartoons_have_no_defect(draw):
    assert [defect(draw(seed)) for seed in SEEDS] == [None] * 30


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_have_no_defect_until_they_are_blurred(name):
    image = photo(name)
    assert defect(image) is None
    assert defect(cv2.GaussianBlur(image, None, min(image.shape[:2]) / 80)) == "blurred"


@pytest.mark.parametrize("larger", [1, 3])
@pytest.mark.parametrize("deviation, wanted", [(0, None), (0.8, None), (3, "blurred"), (6, "blurred")])
def test_blur_is_judged_at_the_training_size(larger, deviation, wanted):
    for seed in SEEDS[::larger]:
        image = np.kron(videos.scene(seed), np.ones((larger, larger, 1), np.uint8))
        image = cv2.GaussianBlur(image, None, deviation * larger) if deviation else image
        assert defect(image, videos.HEIGHT) == wanted


def test_blur_of_a_large_picture_does_not_matter_at_a_small_size():
    for seed in SEEDS[:10]:
        image = cv2.GaussianBlur(np.kron(draw_cartoon(seed, 256), np.ones((4, 4, 1), np.uint8)), None, 4)
        assert defect(image, 256) is None
        assert defect(image, 1024) == "blurred"


def distance(a, b):
    return int((perceptual_hash(a) != perceptual_hash(b)).sum())


def as_jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30)
    return np.asarray(Image.open(buffer))


ALIKE = {
    "noise": lambda image: np.uint8(np.clip(image + 12 * rng().standard_normal(image.shape), 0, 255)),
    "JPEG": as_jpeg,
    "half as bright": lambda image: image // 2,
    "a quarter as bright": lambda image: image // 4,
    "brighter": lambda image: np.uint8(np.clip(image * 1.2, 0, 255)),
    "smaller": lambda image: cv2.resize(image, (96, 54), interpolation=cv2.INTER_AREA),
    "squeezed": lambda image: cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA),
    "moved by a pixel": lambda image: np.roll(image, 1, 1),
    "a word on it": lambda image: cv2.putText(image.copy(), "Hello!", (120, 165), 0, 0.7, (255, 255, 255), 2),
}


@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_hashes_of_near_duplicates_are_near(change):
    assert max(distance(videos.scene(seed), change(videos.scene(seed))) for seed in SEEDS) <= HASH


def test_hashes_of_other_pictures_are_far_apart():
    bits = np.stack([perceptual_hash(videos.scene(seed)) for seed in range(60)])
    distances = (bits[:, None] != bits).sum(2)[~np.eye(60, dtype=bool)]
    assert bits.shape == (60, 64) and bits.dtype == bool
    assert distances.min() > HASH + 2 and 28 < distances.mean() < 34


def test_mirrored_pictures_are_no_duplicates():
    assert min(distance(videos.scene(seed), videos.scene(seed)[:, ::-1]) for seed in SEEDS) > HASH
