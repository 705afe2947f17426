"""Colors of the photo and the strength of the cartoon."""

import numpy as np
import pytest
from PIL import Image

from ppcartoon.errors import InputError
from ppcartoon.inference import looks
from tests.helpers.samples import photo

PHOTO, CARTOON = photo(30, 40, 1), photo(30, 40, 2)


def ycbcr(rgb):
    return np.int16(Image.fromarray(rgb).convert("YCbCr"))


def test_without_changes_the_cartoon_itself_is_returned():
    assert looks.mix(PHOTO, CARTOON) is CARTOON


def test_strength_blends_the_cartoon_with_the_photo():
    assert (looks.mix(PHOTO, CARTOON, strength=0) == PHOTO).all()
    expected = 0.75 * CARTOON + 0.25 * PHOTO
    np.testing.assert_allclose(looks.mix(PHOTO, CARTOON, strength=0.75), expected, atol=1)


@pytest.mark.parametrize("share", [0.25, 1])
def test_keep_colors_takes_chroma_from_the_photo_and_brightness_from_the_cartoon(share):
    muted, gray = PHOTO // 4 + 96, CARTOON // 4 + 96  # no color leaves the range of RGB
    mixed, before, after = (ycbcr(rgb) for rgb in (looks.mix(muted, gray, keep_colors=share), muted, gray))
    np.testing.assert_allclose(mixed[..., 0], after[..., 0], atol=2)
    np.testing.assert_allclose(mixed[..., 1:], (share * before + (1 - share) * after)[..., 1:], atol=3)


def test_bands_do_not_show(monkeypatch):
    whole = looks.mix(PHOTO, CARTOON, 0.6, 0.7)
    monkeypatch.setattr(looks, "BAND", 7 * 40)
    assert (looks.mix(PHOTO, CARTOON, 0.6, 0.7) == whole).all()


@pytest.mark.parametrize("shares", [{"strength": 1.1}, {"keep_colors": -0.1}, {"strength": float("nan")}])
def test_share_outside_its_range_is_refused(shares):
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        looks.mix(PHOTO, CARTOON, **shares)
