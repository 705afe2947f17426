"""Property tests of images: written files can be read back, and resizing, padding and conversion are consistent."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ppcartoon import images
from ppcartoon.utils.grid import contact_sheet
from tests.helpers.damage import FILES, tries

SIDES = st.integers(1, 24)


@st.composite
def pictures(draw):
    size = draw(SIDES), draw(SIDES)
    alpha = draw(st.none() | arrays(np.uint8, size))
    return images.Picture(draw(arrays(np.uint8, (*size, 3))), alpha)


def same(a, b):
    """Checks that two pictures have the same transparency, and the same colors where they are visible."""
    assert (a.alpha is None) == (b.alpha is None)
    np.testing.assert_array_equal(a.alpha, b.alpha)
    visible = np.ones(a.rgb.shape[:2], bool) if a.alpha is None else a.alpha > 0
    np.testing.assert_array_equal(a.rgb[visible], b.rgb[visible])


@tries(60)
@given(picture=pictures())
def test_png_is_lossless(tmp_path_factory, picture):
    path = tmp_path_factory.getbasetemp() / "round.png"
    images.write(path, picture)
    same(images.read(path), picture)


@tries(60)
@given(picture=pictures(), kind=st.sampled_from(["WEBP", "TIFF", "TGA"]))
def test_lossless_files_of_other_programs_are_read_exactly(picture, kind):
    rgb, alpha = picture
    image = Image.fromarray(rgb if alpha is None else np.dstack(picture))
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    if kind == "WEBP" and alpha is not None and (alpha == 255).all():
        picture = images.Picture(rgb)  # which WebP drops
    with Image.open(buffer) as back:
        same(images.decode(back), picture)


@tries(60)
@given(picture=pictures(), suffix=st.sampled_from(sorted(images.WRITABLE)), quality=st.integers(1, 100))
def test_all_formats_keep_size_and_transparency(tmp_path_factory, picture, suffix, quality):
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    images.write(path, picture, quality)
    back = images.read(path)
    assert back.rgb.shape == picture.rgb.shape
    if suffix in (".png", ".webp"):
        opaque = picture.alpha is None or (picture.alpha == 255).all()
        np.testing.assert_array_equal(
            np.uint8(255) if back.alpha is None else back.alpha, 255 if opaque else picture.alpha
        )


@pytest.mark.parametrize("kind", FILES)
def test_decoding_in_bands_changes_nothing(monkeypatch, kind):
    for data in FILES[kind]:
        with Image.open(io.BytesIO(data)) as image:
            whole = images.decode(image)
            with monkeypatch.context() as few:
                few.setattr(images, "BAND", 3 * image.width)
                same(images.decode(image), whole)


@tries(100)
@given(width=st.integers(1, 300), height=st.integers(1, 300), limit=st.integers(1, 300), alpha=st.booleans())
def test_shrinking_keeps_the_aspect_ratio_and_at_least_one_pixel(width, height, limit, alpha):
    gray = np.zeros((height, width), np.uint8)
    small = images.shrink(images.Picture(np.dstack([gray] * 3), gray if alpha else None), limit)
    size, scale = np.array(small.rgb.shape[:2]), min(1, limit / max(width, height))
    assert size.max() == min(limit, max(width, height)) and size.min() >= 1
    assert (np.abs(size - np.maximum(1, scale * np.array([height, width]))) <= 0.5).all()
    assert small.alpha is None if not alpha else small.alpha.shape == tuple(size)


@tries(100)
@given(image=st.tuples(SIDES, SIDES, st.just(3)).flatmap(lambda shape: arrays(np.uint8, shape)), multiple=SIDES)
def test_padding_rounds_sizes_up_and_keeps_the_image(image, multiple):
    padded = images.pad(image, multiple)
    for before, after in zip(image.shape[:2], padded.shape[:2]):
        assert after % multiple == 0 and 0 <= after - before < multiple
    assert (padded[: image.shape[0], : image.shape[1]] == image).all()
    assert set(map(tuple, padded.reshape(-1, 3))) <= set(map(tuple, image.reshape(-1, 3)))


@tries(30)
@given(image=pictures())
def test_to_network_and_from_network_are_inverse(image):
    network = images.to_network(image.rgb[None])
    assert np.abs(network).max() <= 1
    assert (images.from_network(network)[0] == image.rgb).all()


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1)])
def test_a_sheet_of_long_images(size):
    assert contact_sheet([np.zeros((*size, 3), np.uint8)], height=8).shape[0] == 24
